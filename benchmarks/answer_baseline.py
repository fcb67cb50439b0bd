"""Answers without a neural network: the sentence most like the question, by TF-IDF, on rows of a set of questions.

python benchmarks/answer_baseline.py squad/dev-answerable.json --result results/answer_baseline_squad.json
"""

import argparse
import time

from keras_llm.baselines.tfidf import likest_sentences
from keras_llm.datasets import load
from keras_llm.evaluation.answers import answer_metrics
from keras_llm.training.results import write_result


def main():
    """Measures, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="questions_en", help="a file or the name of a data set")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = load(arguments.data)
    sentences = likest_sentences([row["question"] for row in rows], [row["context"] for row in rows])
    metrics = answer_metrics(sentences, [[answer["text"] for answer in row["answers"]] for row in rows])
    print(f"{arguments.data}: F1 {metrics['f1']:.4f}, exact match {metrics['exact_match']:.4f}")
    if arguments.result:
        data = {arguments.data: list(map(str, rows))}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


if __name__ == "__main__":
    main()

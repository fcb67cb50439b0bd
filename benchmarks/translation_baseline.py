"""Translations without a neural network: that of the training sentence most like each test sentence, by TF-IDF.

python benchmarks/translation_baseline.py --result results/translation_baseline_multi30k.json
"""

import argparse
import time

import numpy as np

from keras_llm.baselines.tfidf import tfidf_vectors
from keras_llm.datasets import load
from keras_llm.evaluation.translation import translation_metrics
from keras_llm.training.results import write_result


def main():
    """Measures, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="multi30k/train.en,multi30k/train.de", help="pairs to choose from")
    parser.add_argument("--test", default="multi30k/test_2016_flickr.en,multi30k/test_2016_flickr.de")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = {"train": load(arguments.data), "test": load(arguments.test)}
    texts, candidates = ([row["source"] for row in rows[split]] for split in ("test", "train"))
    vectors, known = tfidf_vectors(texts, candidates)
    likest = np.argmax(
        (vectors @ known.T).toarray(), axis=1
    )  # [test sentences], numbers of training sentences
    translations = [rows["train"][i]["target"] for i in likest]
    metrics = translation_metrics(translations, [row["target"] for row in rows["test"]])
    print(f"{arguments.test}: BLEU {metrics['bleu']:.2f}, chrF {metrics['chrf']:.2f}")
    if arguments.result:
        data = {
            name: list(map(str, rows[split]))
            for split, name in (("train", arguments.data), ("test", arguments.test))
        }
        metrics = {f"test_{name}": value for name, value in metrics.items()}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


if __name__ == "__main__":
    main()

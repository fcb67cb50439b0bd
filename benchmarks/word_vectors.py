"""Do word vectors know what belongs together? Odd one out of four, beside shuffled vectors and chance.

    python benchmarks/word_vectors.py --result results/word2vec.json

By default on WikiText-2 as a file in the folder that KERAS_LLM_DATA names. The questions stand in odd_one_out.txt, four
words a line of which the last does not belong; they were written before any vector was learnt from this text, and no
option was chosen by them. The control are the same vectors, given to other words, a hundred times. The run is that of
`keras-llm train word2vec`, its folder stays under --output.
"""

import argparse
import pathlib
import time

import numpy as np

from keras_llm.datasets import load
from keras_llm.models.word2vec import WordVectors
from keras_llm.recipes.word2vec import VECTORS, train_word2vec
from keras_llm.training.results import write_result

QUESTIONS = pathlib.Path(__file__).parent / "odd_one_out.txt"
SHUFFLES = 100


def main():
    """Trains, asks, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="wikitext2/train.txt", help="text to learn from")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", default="runs/word2vec", help="folder for the run")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    figures = train_word2vec(
        data=arguments.data,
        vocabulary=12_000,
        dim=64,
        subsample=1e-4,
        batch_size=8192,
        learning_rate=1e-2,
        epochs=arguments.epochs,
        output=arguments.output,
    )
    vectors = WordVectors.load(pathlib.Path(arguments.output) / VECTORS)
    questions = [line.split() for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    random = np.random.default_rng(0)
    control = [
        accuracy(WordVectors(vectors.words, random.permutation(vectors.vectors)), questions)
        for _ in range(SHUFFLES)
    ]
    metrics = {
        **figures,
        "questions": len(questions),
        "accuracy": accuracy(vectors, questions),
        "shuffled_accuracy": float(np.mean(control)),
        "shuffled_highest_accuracy": max(control),
        "chance_accuracy": 0.25,
    }
    for name, value in metrics.items():
        print(f"{name}: {value:,.4g}" if isinstance(value, float) else f"{name}: {value:,}")
    for words in questions:
        if vectors.odd_one_out(words) != words[-1]:
            print(f"  {' '.join(words)}: says {vectors.odd_one_out(words)}")
    if arguments.result:
        data = {arguments.data: [row["text"] for row in load(arguments.data)], QUESTIONS.name: QUESTIONS}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


def accuracy(vectors, questions):
    """The share of questions whose last word is found to be the odd one."""
    return float(np.mean([vectors.odd_one_out(words) == words[-1] for words in questions]))


if __name__ == "__main__":
    main()

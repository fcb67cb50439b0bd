"""What DPO changes: preferences, and the loss of the preferred answers, on held-out pairs.

    python benchmarks/dpo.py --result results/dpo.json

It goes on from the fully tuned model of `benchmarks/chat_instruction.py`, which must have run before with the same
--data. Of each instruction, the preferred answer is its own, the other one that of another instruction of the same
part of the data; so nobody has to judge. The pairs stay as files under --output.
"""

import argparse
import json
import pathlib
import time

from keras_llm.datasets import load
from keras_llm.datasets.preferences import mismatched_answers
from keras_llm.files import atomic_path
from keras_llm.recipes import runs
from keras_llm.recipes.preferences import train_preferences
from keras_llm.training.results import write_result


def main():
    """Makes the pairs, tunes, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="instruction/instruction-data.json")
    parser.add_argument("--start-from", default="runs/chat_instruction/full")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--output", default="runs/dpo", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    splits = ("train", "validation", "test")
    for split in splits:
        pairs = mismatched_answers(load(arguments.data, split))
        with atomic_path(folder / f"{split}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    train, validation, test = (str(folder / f"{split}.jsonl") for split in splits)
    metrics = train_preferences(
        data=train,
        validation=validation,
        test=test,
        start_from=arguments.start_from,
        learning_rate=arguments.learning_rate,
        epochs=arguments.epochs,
        output=str(folder / "tuned"),
    )
    for name, value in metrics.items():
        print(f"{name}: {value:,.4g}")
    if arguments.result:
        data = {arguments.data: list(map(str, load(arguments.data)))} | runs.weight_files(
            arguments.start_from
        )
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


if __name__ == "__main__":
    main()

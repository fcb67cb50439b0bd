"""What instruction tuning gains, with LoRA beside full fine-tuning: the loss on answers of held-out instructions.

    python benchmarks/chat_instruction.py --result results/chat_instruction.json

A small GPT-2 is pretrained on WikiText-2 (files in the folder that KERAS_LLM_DATA names), then tuned on the instructions
twice from the same weights. Each step is a command in a process of its own, whose peak of memory is what the system says;
the folders stay under --output. Seconds are those of the whole command, with imports and compilation.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

from keras_llm.datasets import load
from keras_llm.files import read_json
from keras_llm.recipes import runs
from keras_llm.recipes.chat import ADAPTER
from keras_llm.training.results import write_result

SIDES = {"full": [], "lora": ["--lora", "8", "--lora-layers", "query,key,value,output,inner,outer"]}


def main():
    """Pretrains, tunes on both sides, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", default="wikitext2/train.txt", help="raw text to pretrain on")
    parser.add_argument("--data", default="instruction/instruction-data.json")
    parser.add_argument("--steps", type=int, default=1000, help="of pretraining")
    parser.add_argument("--epochs", type=int, default=8, help="of tuning")
    parser.add_argument("--output", default="runs/chat_instruction", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    base = ["--data", arguments.text, "--vocabulary", "4096", "--learning-rate", "2e-3"]
    seconds, _ = run("gpt2", [*base, "--steps", arguments.steps], folder / "base")
    metrics = {"pretraining_seconds": seconds} | {
        f"pretraining_{name}": value
        for name, value in read_json(folder / "base" / runs.METRICS).items()
        if name == "validation_loss"
    }
    for side, options in SIDES.items():
        options = ["--data", arguments.data, "--test", "test", "--epochs", arguments.epochs, *options]
        seconds, mebibytes = run("chat", [*options, "--start-from", folder / "base"], folder / side)
        found = read_json(folder / side / runs.METRICS)
        metrics.setdefault("parameters", found["parameters"])
        metrics.setdefault("validation_loss_before", found["validation_loss_before"])
        metrics.setdefault("test_answer_tokens", found["test_tokens"])
        names = ("trained_parameters", "validation_loss", "test_loss")
        metrics |= {f"{side}_{name}": found[name] for name in names}
        kept = folder / side / (ADAPTER if side == "lora" else runs.MODEL)
        files = kept.iterdir() if kept.is_dir() else [kept]
        metrics[f"{side}_kept_kibibytes"] = round(sum(file.stat().st_size for file in files) / 2**10)
        metrics[f"{side}_seconds"] = seconds
        metrics[f"{side}_peak_mebibytes"] = mebibytes
    for name, value in metrics.items():
        print(f"{name}: {value:,.4g}")
    if arguments.result:
        data = {name: list(map(str, load(name))) for name in (arguments.text, arguments.data)}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


def run(command, options, output):
    """Runs `keras-llm train COMMAND` in a process of its own: its seconds and its peak of memory in MiB."""
    started = time.perf_counter()
    words = [sys.executable, "-m", "keras_llm.cli", "train", command, *options, "--output", output]
    process = subprocess.Popen(list(map(str, words)))
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"train {command} ended with status {os.waitstatus_to_exitcode(status)}.")
    return round(time.perf_counter() - started), round(used.ru_maxrss / 2**10)


if __name__ == "__main__":
    main()

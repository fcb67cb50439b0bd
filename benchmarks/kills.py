"""Kills a training run again and again, and compares it with the same run that nobody touched, bit by bit.

    python benchmarks/kills.py --result results/resume.json
    python benchmarks/kills.py --workers 2 --kills 3 --steps 600 --result results/resume_two_workers.json

With several workers, each kill is of one of them, drawn at random; the launcher stops the others.

The run is `keras-llm train gpt2` with dropout on the docstrings of the installed packages. Each kill is a SIGKILL at a
moment drawn at random, some time after the run has begun to train; then the same command is given again.
"""

import argparse
import csv
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

from keras_llm.training.results import write_result

SETTINGS = (
    "--limit 300000 --layers 2 --width 64 --heads 2 --context 64 --vocabulary 512 --batch-size 8 --dropout 0.2 "
    "--evaluate-every 100 --evaluate-on 2 --save-every 10 --warmup 20"
).split()


def main():
    """Runs both, compares, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="a kill comes at most so long after the first step"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", default="runs/kills", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    whole, killed = folder / "whole", folder / "killed"
    start(whole, arguments).wait()
    draw, steps = random.Random(arguments.seed), []
    while len(steps) < arguments.kills:
        process = start(killed, arguments)
        wait_for_steps(process, killed)
        time.sleep(draw.uniform(0, arguments.seconds))
        if process.poll() is not None:
            raise SystemExit(
                f"The run ended after {len(steps)} kills: give it more --steps or fewer --seconds."
            )
        os.kill(draw.choice(processes(process, killed)), signal.SIGKILL)
        process.wait()
        steps.append(last_state(killed))
        print(f"kill {len(steps)} of {arguments.kills}: the last state is of step {steps[-1]}", flush=True)
    start(killed, arguments).wait()

    metrics = {
        "kills": len(steps),
        "workers": arguments.workers,
        "steps": arguments.steps,
        "losses_logged": sum(len(row) for row in history(whole)),
        "losses_different": differences(history(whole), history(killed)),
        **weights_different(whole, killed),
        "weights_from_step": int(min(history(whole), key=lambda row: float(row["val_token_loss"]))["step"]),
    }
    for name, value in metrics.items():
        print(f"{name}: {value:,}")
    if arguments.result:
        data = {"states at the kills": [str(step) for step in steps]}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=arguments.seed, data=data, wall_seconds=seconds, metrics=metrics)


def start(folder, arguments):
    """The command, in a process of its own that writes to `FOLDER.log`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    program = pathlib.Path(sys.executable).with_name("keras-llm")
    launcher = ["launch", "--workers", str(arguments.workers), "--"] if arguments.workers > 1 else []
    words = ["train", "gpt2", *SETTINGS, "--steps", str(arguments.steps), "--output", folder]
    command = [program, *launcher, *words]
    with open(f"{folder}.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def processes(process, folder):
    """The numbers of the processes that train: of the workers that the launcher named last, or the one there is."""
    workers = dict(
        re.findall(r"\[(worker \d+)\] is process (\d+)", pathlib.Path(f"{folder}.log").read_text())
    )
    return [int(number) for number in workers.values()] or [process.pid]


def wait_for_steps(process, folder):
    """Waits until the run has saved a state since now."""
    before = last_state(folder)
    while process.poll() is None and last_state(folder) == before:
        time.sleep(0.05)


def last_state(folder):
    """The step of the newest state, 0 if there is none."""
    return max((int(path.name.split("-")[1]) for path in folder.glob("states/step-*")), default=0)


def history(folder):
    """The rows that the run logged."""
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def differences(rows, others):
    """How many of the logged numbers are not the same, as text."""
    if len(rows) != len(others):
        return abs(len(rows) - len(others)) * len(rows[0])
    return sum(row[name] != other[name] for row, other in zip(rows, others) for name in row)


def weights_different(folder, other):
    """How many of the weights of the kept models have not the same bits."""
    import keras

    from keras_llm.models import gpt2  # noqa: F401 Keras finds the model by what this registers

    models = [keras.saving.load_model(own / "model.keras", compile=False) for own in (folder, other)]
    pairs = list(zip(*(model.get_weights() for model in models)))
    return {
        "weights": sum(one.size for one, _ in pairs),
        "weights_different": int(sum((one != two).sum() for one, two in pairs)),
    }


if __name__ == "__main__":
    main()

"""Runs several libraries on the same work in turn, each in a process of its own, and writes the medians down.

A benchmark is a module with a function for each of its sides. It gets the options, sets everything
up, warms up, and returns a function that does the work once and returns what it measured: a dict of name to number.
The first side is ours. Each side is started in a process; then all of them work in turn, ABCABC..., one at a time, so
that a change of the machine's speed meets all of them alike. After a pause a process finds its memory slow for once, most
of all on a virtual machine; a benchmark of much memory and short work lets a little go by before it counts.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time

PEERS = ("torch", "transformers", "keras-hub")  # the versions of the others are in every result


def main(description, sides, options=()):
    """The command line of a benchmark.

    Args:
        description: what `--help` says.
        sides: functions, see above; their names are those of the sides.
        options: pairs of a name and a default, further options whose type is the default's; or of a name and a tuple
            of what may be chosen, the first by default.
    """
    sides = {side.__name__: side for side in sides}
    parser = argparse.ArgumentParser(description=description)
    for name, default in options:
        choices = default if isinstance(default, tuple) else None
        default = choices[0] if choices else default
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, choices=choices
        )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sides", nargs="+", choices=sides, default=list(sides), help="by default all")
    parser.add_argument("--result", help="JSON file for the figures")
    parser.add_argument("--side", choices=sides, help=argparse.SUPPRESS)  # this process is that side
    arguments = parser.parse_args()
    if arguments.side:
        serve(sides[arguments.side](arguments))
        return
    started = time.perf_counter()
    measured = take_turns(arguments.sides, arguments.rounds)
    metrics = medians(measured)
    for name, value in metrics.items():
        print(f"{name}: {value:,.4g}" if isinstance(value, float) else f"{name}: {value}")
    if arguments.result:
        from keras_llm.training.results import write_result

        metrics = {"rounds": arguments.rounds, "sides": ", ".join(measured), **metrics, **versions()}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data={}, wall_seconds=seconds, metrics=metrics)


def serve(work):
    """Does the work once for each line that comes in, and answers with what it measured."""
    print("READY", flush=True)
    for _ in sys.stdin:
        print("MEASURED " + json.dumps(work()), flush=True)


def take_turns(sides, rounds):
    """For each side a list of what it measured, one dict a round."""
    workers = {}
    for side in sides:
        began = time.perf_counter()
        workers[side] = subprocess.Popen(
            [sys.executable, *sys.argv, "--side", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        answer(workers[side], side, "READY")
        print(f"{side} is ready after {time.perf_counter() - began:.0f} s", flush=True)
    measured = {side: [] for side in sides}
    for i in range(rounds):
        for side, worker in workers.items():
            worker.stdin.write("once\n")
            worker.stdin.flush()
            measured[side].append(json.loads(answer(worker, side, "MEASURED ")))
        print(
            f"round {i + 1} of {rounds}: " + json.dumps({s: m[-1] for s, m in measured.items()}), flush=True
        )
    for worker in workers.values():
        worker.communicate()
    return measured


def answer(worker, side, word):
    """What follows `word` in the next line that begins with it."""
    for line in worker.stdout:
        if line.startswith(word):
            return line[len(word) :]
    raise SystemExit(
        f"{side} ended with status {worker.wait()}; see above. benchmarks/peers.sh installs all sides in .venv-peers."
    )


def medians(measured):
    """For each side and figure the median, and the ratio of each other side's to that of the first."""
    first = next(iter(measured.values()))
    metrics = {}
    for side, figures in measured.items():
        for name in figures[0]:
            metrics[f"{side}_{name}"] = statistics.median(figure[name] for figure in figures)
            if figures is not first and name in first[0]:
                ratios = [theirs[name] / ours[name] for ours, theirs in zip(first, figures)]
                metrics[f"{side}_{name}_ratio"] = statistics.median(ratios)
    return metrics


def versions():
    """Of the peers that are installed."""
    found = {}
    for name in PEERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[f"{name} version"] = importlib.metadata.version(name)
    return found


def ceilings(options):
    """What the machine can do: billions of operations a second in a product of matrices, and gigabytes read a second."""
    import concurrent.futures

    import numpy as np

    matrix, parts = np.ones((3000, 3000), "float32"), np.ones((os.cpu_count(), 2**26), "float32")
    threads = concurrent.futures.ThreadPoolExecutor(len(parts))

    def read():
        return list(threads.map(np.sum, parts))

    def work():
        read()  # not counted, see above
        started = time.perf_counter()
        matrix @ matrix
        between = time.perf_counter()
        read()
        ended = time.perf_counter()
        return {
            "gflop_s": 2 * len(matrix) ** 3 / 1e9 / (between - started),
            "read_gb_s": parts.nbytes / 1e9 / (ended - between),
        }

    work()
    return work

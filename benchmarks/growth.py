"""How the cost of training grows: tokens a second by the length of the text, the width, the batch and the processes.

    python benchmarks/growth.py --result results/bench_growth.json

A GPT-2 of 2 blocks, 256 wide, on random ids of a vocabulary of 1,024, in float32 without dropout, compiled by XLA (on
several processes it is not, and each batch is shared among them: on one machine they share its cores, too). One thing
varies at a time; each point is a process of its own, the median of `--rounds` stretches of steps behind the
compilation. The picture is benchmarks/growth.png.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

USUAL = {"length": 128, "width": 256, "batch": 16, "workers": 1}
VARIED = {
    "length": [64, 128, 256, 512, 1024, 2048, 4096, 8192],
    "width": [64, 128, 256, 512, 1024],
    "batch": [1, 2, 4, 8, 16, 32, 64],
    "workers": [1, 2],
}
TOKENS = 2048  # a step, at each length up to it
VOCABULARY, HEAD = 1024, 64


def main():
    """Measures all points, prints and draws them, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", default=str(pathlib.Path(__file__).with_name("growth.png")))
    parser.add_argument("--result", help="JSON file for the figures")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print("POINT", tokens_a_second(json.loads(arguments.point), arguments.rounds))
        return
    started = time.perf_counter()
    curves = {}
    for name, values in VARIED.items():
        for value in values:
            point = {**USUAL, name: value}
            if name == "length":
                point["batch"] = max(TOKENS // value, 1)
            curves.setdefault(name, []).append(run(point, arguments.rounds))
            print(f"{name} {value:>5,}: {curves[name][-1]:>8,.0f} tokens/s", flush=True)
    draw(curves, arguments.picture)
    print(f"The picture is {arguments.picture}")
    if arguments.result:
        from keras_llm.training.results import write_result

        metrics = {
            f"{name}_{value}_tokens_s": round(speed)
            for name, values in VARIED.items()
            for value, speed in zip(values, curves[name])
        }
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data={}, wall_seconds=seconds, metrics=metrics)


def run(point, rounds):
    """The speed at one point, measured in processes of its own."""
    from keras_llm.recipes.launch import worker_configs

    workers = point["workers"]
    environments = [{"TF_CONFIG": config} for config in worker_configs(workers)] if workers > 1 else [{}]
    command = [sys.executable, __file__, "--rounds", str(rounds), "--point", json.dumps(point)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **own})
        for own in environments
    ]
    outputs = [process.communicate()[0] for process in processes]
    return float(outputs[0].split("POINT")[1])


def tokens_a_second(point, rounds):
    """Trains, and measures."""
    from keras_llm.training import distribution

    distribution.use("multi-worker" if point["workers"] > 1 else "one")
    import keras
    import numpy as np

    from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
    from keras_llm.datasets.batches import TokenWindows

    keras.utils.set_random_seed(0)
    length, width, batch = point["length"], point["width"], point["batch"]
    model = GPT2Model(VOCABULARY, length, width, 2, width // HEAD, dropout=0.0)
    model.compile(AdamW(1e-3), TokenCrossEntropy(), jit_compile=distribution.allows_xla())
    ids = np.random.default_rng(0).integers(0, VOCABULARY, 4 * batch * (length + 1))
    stream = TokenWindows(ids, length, batch).stream()

    def seconds(steps):
        started = time.perf_counter()
        model.fit(stream, steps_per_epoch=steps, verbose=0, shuffle=False)
        return time.perf_counter() - started

    seconds(2)
    steps = max(int(1.0 / (seconds(3) / 3)), 1)  # about a second
    steps = int(distribution.gather(steps).min())  # the same in all processes
    return statistics.median(steps * batch * length / seconds(steps) for _ in range(rounds))


def draw(curves, path):
    """Tokens a second over each thing that varies."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    for axes, (name, speeds) in zip(figure.subplots(2, 2).flat, curves.items()):
        axes.plot(VARIED[name], speeds, marker="o", color="tab:blue")
        axes.set_xscale("log", base=2)
        axes.set_xticks(VARIED[name], [f"{value:,}" for value in VARIED[name]])
        axes.set_ylim(bottom=0)
        axes.set(xlabel={"workers": "processes on two cores"}.get(name, name), ylabel="tokens/s")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

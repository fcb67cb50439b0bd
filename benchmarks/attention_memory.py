"""How the memory of a training step grows with the length of the text: attention by blocks, and in one matrix.

    python benchmarks/attention_memory.py --result results/attention_memory.json

Each length is trained on for three steps in a process of its own (a GPT-2 of 2 blocks, 256 wide, 4 heads, batch 1, with
dropout, compiled by XLA); what counts is the largest memory that the process ever held, less what it held before the
model was made. Compiling is in it.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from keras_llm.training.results import write_result

WAYS = {"blocks": 1024, "matrix": 2**30}  # from which length on blocks are taken


def main():
    """Measures each length both ways, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--one", nargs=2, metavar=("WAY", "LENGTH"), help=argparse.SUPPRESS)
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]))))
        return
    started = time.perf_counter()
    metrics = {}
    for length in arguments.lengths:
        for way in WAYS:
            command = [sys.executable, __file__, "--one", way, str(length)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            metrics |= json.loads(done.stdout.splitlines()[-1])
            print(f"{length:6,} {way:7} {metrics[f'{way}_{length}_mib']:8,.0f} MiB", flush=True)
    if arguments.result:
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data={}, wall_seconds=seconds, metrics=metrics)


def measure(way, length):
    """Trains for three steps; a dict of the memory in MiB and the loss at the end."""
    import keras
    import numpy as np

    from keras_llm.layers import attention
    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.training.losses import TokenCrossEntropy
    from keras_llm.training.optimizers import AdamW

    attention.LONG = WAYS[way]
    keras.utils.set_random_seed(0)
    ids = np.random.default_rng(0).integers(256, size=(1, length + 1))
    before = _peak_mib()
    model = GPT2Model(256, length, hidden_dim=256, num_layers=2, num_heads=4, dropout=0.1)
    model.compile(AdamW(1e-3), TokenCrossEntropy(), jit_compile=True)
    for _ in range(3):
        loss = model.train_on_batch(ids[:, :-1], ids[:, 1:])
    return {f"{way}_{length}_mib": round(_peak_mib() - before), f"{way}_{length}_loss": round(float(loss), 4)}


def _peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux


if __name__ == "__main__":
    main()

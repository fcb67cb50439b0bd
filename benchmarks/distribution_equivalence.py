"""The same training on one device and on several: are its losses the same?

    python benchmarks/distribution_equivalence.py --result results/distribution_equivalence.json

Three small models take 20 steps without dropout, on rows of unequal length, so that the parts of a batch have unequal
numbers of tokens that count. Each row of `PLACES` is a process, or several, with the same first weights and batches.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# What differs from place to place: the strategy, and how many devices a process or how many processes there are; `env`
# is set in the process before anything is loaded.
JAX_ON_4 = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
PLACES = {
    "one device": {"strategy": "one"},
    "one device, accumulation 4": {"strategy": "one", "accumulate": 4},
    "2 devices, mirrored": {"strategy": "mirrored", "devices": 2},
    "2 devices, mirrored, accumulation 2": {"strategy": "mirrored", "devices": 2, "accumulate": 2},
    "2 processes, multi-worker": {"strategy": "multi-worker", "workers": 2},
    "4 devices, JAX data parallel": {"strategy": "data-parallel", "env": JAX_ON_4},
    "4 devices, JAX model parallel": {"strategy": "model-parallel", "env": JAX_ON_4},
}
MODELS = ("gpt2", "bert_masked_lm", "transformer")
STEPS = 20


def main():
    """Runs each place, compares with the first, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", help="JSON file for the figures")
    parser.add_argument("--place", choices=PLACES, help="print the losses of one place, as JSON")
    parser.add_argument(
        "--weights", help="folder of the first weights; they are made there if they are missing"
    )
    arguments = parser.parse_args()
    if arguments.place:
        print(json.dumps(losses_at(arguments.place, arguments.weights)))
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as weights:
        losses = {place: run(place, weights) for place in PLACES}
    metrics, base = {}, losses["one device"]
    for place in list(PLACES)[1:]:
        for model in MODELS:
            furthest = max(abs(one - other) / one for one, other in zip(base[model], losses[place][model]))
            metrics[f"{place}: largest relative difference of {model}"] = furthest
            print(f"{place:<37}{model:<16}{furthest:.1e}   last loss {losses[place][model][-1]:.6f}")
    if arguments.result:
        from keras_llm.training.results import write_result

        data = {f"losses of {place}": json.dumps(own) for place, own in losses.items()}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


def run(place, weights):
    """The losses at a place, from processes of its own: a dict of model to list."""
    from keras_llm.recipes.launch import worker_configs

    settings = PLACES[place]
    workers = settings.get("workers", 1)
    environments = [{"TF_CONFIG": config} for config in worker_configs(workers)] if workers > 1 else [{}]
    command = [sys.executable, __file__, "--place", place, "--weights", weights]
    processes = [
        subprocess.Popen(
            command, env={**os.environ, **settings.get("env", {}), **own}, stdout=subprocess.PIPE
        )
        for own in environments
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{place}: a process ended with an error.")
    return json.loads(outputs[0])


def losses_at(place, weights):
    """The losses of all models in this process: a dict of model to list."""
    settings = PLACES[place]
    if "devices" in settings:
        split_cpu(settings["devices"])

    from keras_llm.training import distribution

    distribution.use(settings["strategy"])
    accumulated = settings.get("accumulate", 1)
    return {name: losses_of(name, pathlib.Path(weights), accumulated) for name in MODELS}


def split_cpu(devices):
    """Makes several devices of the CPU, before TensorFlow starts."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)


def losses_of(name, weights, accumulated):
    """The loss of each step of a model's training, whose batches are worked through in parts: a list."""
    import numpy as np

    from keras_llm.training.accumulation import accumulate
    from keras_llm.training.losses import TokenCrossEntropy
    from keras_llm.training.optimizers import AdamW

    model, batches = make(name)
    file = weights / f"{name}.npz"
    if not file.exists():
        np.savez(file, *model.get_weights())
    with np.load(file) as saved:
        model.set_weights([saved[key] for key in saved.files])
    model.compile(AdamW(3e-3), TokenCrossEntropy(), jit_compile=False)
    accumulate(model, accumulated)
    history = model.fit(batches.stream(), steps_per_epoch=1, epochs=STEPS, shuffle=False, verbose=0)
    return history.history["loss"]


def make(name, layers=2):
    """A small model, and its batches of 8 rows (the Transformer's: as many tokens) of unequal length."""
    import numpy as np

    from keras_llm.datasets.batches import Batches, PaddedBatches, pad_rows
    from keras_llm.datasets.labels import IGNORED_LABEL
    from keras_llm.datasets.masking import MaskedBatches
    from keras_llm.models.bert import BertEncoder, BertMaskedLM
    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.models.transformer import Transformer

    random = np.random.default_rng(0)
    rows = [list(random.integers(5, 50, random.integers(2, 24))) for _ in range(64)]
    if name == "gpt2":

        class Texts(Batches):
            def rows(self, numbers, epoch):
                inputs, labels = [rows[i][:-1] for i in numbers], [rows[i][1:] for i in numbers]
                return pad_rows(inputs, 24, 0), pad_rows(labels, 24, IGNORED_LABEL)

        return GPT2Model(50, 24, 32, layers, 2, dropout=0.0), Texts(len(rows), 8)
    if name == "bert_masked_lm":
        encoder = BertEncoder(50, 24, 32, layers, 2, dropout=0.0, pooler=False)
        sequences = [[2, *row, 3] for row in rows]
        return BertMaskedLM(encoder), MaskedBatches(sequences, 24, 8, 4, 0, [0, 2, 3, 4], 50)
    features = {"source_ids": rows, "target_ids": [[1, *row[::-1]] for row in rows]}
    labels = [[*row[::-1], 2] for row in rows]
    sizes = {"hidden_dim": 32, "num_layers": layers, "num_heads": 2, "inner_dim": 64, "dropout": 0.0}
    return Transformer(vocabulary_size=50, context_length=24, **sizes), PaddedBatches(
        features, labels, lengths=(12, 24), tokens_per_batch=192
    )


if __name__ == "__main__":
    main()

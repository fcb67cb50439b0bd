"""Eight devices on JAX make the training of one. Virtual devices must be asked for before JAX starts: a subprocess."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.generation import Sampler, TextGenerator
from keras_llm.models.bert import BertEncoder, BertMaskedLM
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.training import resuming
from keras_llm.training.callbacks import SaveBest
from keras_llm.training.losses import TokenCrossEntropy, TokenLoss
from keras_llm.training.optimizers import AdamW
from keras_llm.training.sharding import distribute

DEVICES, VOCABULARY, LENGTH, STEPS = 8, 48, 16, 4


class Cut(Exception):
    pass


class RaggedRows(PaddedBatches):
    """Rows of 2 to 15 tokens, as GPT-2 takes them; labels are the next tokens."""

    def __init__(self):
        rows = [list(np.random.default_rng(i).integers(1, VOCABULARY, 2 + 5 * i % 14)) for i in range(64)]
        super().__init__({"token_ids": rows}, [[*row[1:], 1] for row in rows], 16, (LENGTH,), seed=1)

    def batch(self, i):
        inputs, labels = super().batch(i)
        return inputs["token_ids"], labels


def train(folder, model_devices=None, cut=None):
    """Trains a GPT-2 with dropout on rows of unequal length, in a run that may be cut: the model, and its losses."""

    keras.distribution.set_distribution(None)
    if model_devices:
        distribute(model_devices)
    keras.utils.set_random_seed(0)
    model = GPT2Model(VOCABULARY, LENGTH, 32, 1, 4, dropout=0.2)
    # Where Adam divides by next to nothing (the keys' biases change no output), it makes steps of rounding errors.
    optimizer = AdamW(1e-2, epsilon=1e-3)
    model.compile(optimizer, TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=True)
    losses = []

    def at_end(step, logs):
        losses.append(float(logs["loss"]))
        if len(losses) == cut:
            raise Cut

    try:
        resuming.fit(
            model,
            RaggedRows(),
            pathlib.Path(folder),
            epochs=1,
            steps_per_epoch=STEPS,
            callbacks=[
                keras.callbacks.LambdaCallback(on_train_batch_end=at_end),
                SaveBest(pathlib.Path(folder) / "model.keras", "loss"),
            ],
            save_every=1,
        )
    except Cut:
        return None
    return model, losses


def share_of_a_device(variables):
    """Bytes on one device, by the bytes in all."""
    return sum(v.value.addressable_shards[0].data.nbytes for v in variables) / sum(
        v.value.nbytes for v in variables
    )


def write(model):
    found = TextGenerator(model).generate_ids([[1, 2, 3], [4, 5, 6, 7]], 6, Sampler(temperature=0.0))
    return [list(map(int, ids)) for ids in found]


def report():
    """What the tests below look at."""
    one, losses = train(tempfile.mkdtemp())
    found = {"learned": losses[0] - losses[-1]}
    for name, model_devices in (("data", 1), ("model", 4)):
        folder = pathlib.Path(tempfile.mkdtemp())
        if name == "model":
            train(folder, model_devices, cut=2)  # the run below goes on from here
        model, own = train(folder, model_devices)
        found[name] = {
            "steps": len(own),
            "weights": max(
                float(np.abs(a - b).max()) for a, b in zip(one.get_weights(), model.get_weights())
            ),
            "losses": max(abs(a - b) for a, b in zip(reversed(losses), reversed(own))),
            "share_of_weights": share_of_a_device(model.trainable_variables),
            "share_of_moments": share_of_a_device(model.optimizer.variables),
        }
    found["shapes"] = shapes(model)
    found["written"] = write(model) == write(one)
    encoder = BertEncoder(VOCABULARY + 2, LENGTH, 32, 1, 4)  # 50 tokens, which 4 does not divide
    for other in (BertMaskedLM(encoder), Transformer(VOCABULARY, None, LENGTH, 32, 1, 4)):
        found[type(other).__name__] = shapes(other)
    keras.distribution.set_distribution(None)
    loaded = keras.saving.load_model(folder / "model.keras", compile=False)
    found["loaded"] = all(bool((a == b).all()) for a, b in zip(loaded.get_weights(), model.get_weights()))
    return found


def shapes(model):
    """Of each variable's part on a device."""
    return {v.path.partition("/")[2]: v.value.addressable_shards[0].data.shape for v in model.variables}


@pytest.fixture(scope="module")
def found():
    if keras.backend.backend() != "jax":
        pytest.skip("`make test-jax` runs it")
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    process = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["data", "model"])
def test_eight_devices_train_as_one(kind, found):
    assert found["learned"] > 0.05
    assert found[kind]["losses"] < 1e-5
    assert found[kind]["weights"] < 1e-5


def test_weights_and_moments_are_spread(found):
    assert found["data"]["share_of_weights"] == found["data"]["share_of_moments"] == 1
    # All but positions, norms and the biases behind sums is in four parts.
    assert found["model"]["share_of_weights"] < 0.32
    assert found["model"]["share_of_moments"] < 0.32
    shapes = found["shapes"]
    assert shapes["token_embedding/embeddings"] == [12, 32]
    assert shapes["block_0/attention/query/kernel"] == [32, 8]
    assert shapes["block_0/attention/value/bias"] == [8]
    assert shapes["block_0/attention/output/kernel"] == [8, 32]
    assert shapes["block_0/attention/output/bias"] == [32]
    assert shapes["block_0/feed_forward/inner/kernel"] == [32, 32]
    assert shapes["block_0/feed_forward/outer/kernel"] == [32, 32]


def test_the_other_models_are_spread_too(found):
    bert, transformer = found["BertMaskedLM"], found["Transformer"]
    assert bert["token_embedding/embeddings"] == [50, 8]  # 4 does not divide the tokens
    assert bert["output_bias"] == [50]
    assert bert["block_0/attention/key/kernel"] == [32, 8]
    assert bert["pooler/kernel"] == bert["transform/kernel"] == [32, 32]
    assert transformer["source_embedding/embeddings"] == [12, 32]
    assert transformer["decoder_block_0/cross_attention/value/kernel"] == [32, 8]
    assert transformer["decoder_block_0/cross_attention/output/kernel"] == [8, 32]
    assert transformer["encoder_block_0/feed_forward/inner/bias"] == [32]


def test_a_run_on_eight_devices_that_was_cut_goes_on(found):
    """Its weights at the end are looked at above; dropout and Adam's moments count on."""
    assert found["data"]["steps"] == STEPS
    assert found["model"]["steps"] == STEPS - 1  # the state after the first step was the last one saved


def test_what_is_saved_is_loaded_on_one_device_and_writes_the_same(found):
    assert found["loaded"]
    assert found["written"]


def test_what_cannot_be_spread_is_refused():

    if keras.backend.backend() != "jax":
        with pytest.raises(
            ValueError, match=r"works on the JAX backend; this is tensorflow\. Set KERAS_BACKEND"
        ):
            distribute()
    else:
        with pytest.raises(ValueError, match=r"model_devices=3 does not divide the \d+ devices there are"):
            distribute(3)


if __name__ == "__main__":
    print(json.dumps(report()))

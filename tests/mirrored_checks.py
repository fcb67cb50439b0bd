"""What test_distribution.py runs in a process of its own: two devices must be made of the CPU before TensorFlow starts.

Prints one JSON object: what each check found on one device and on two.
"""

# ruff: noqa: E402

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "benchmarks"))
from distribution_equivalence import make, split_cpu

split_cpu(2)

import keras
import numpy as np
import tensorflow as tf

from keras_llm.datasets.batches import PaddedBatches, TokenWindows
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.training import distribution, resuming
from keras_llm.training.accumulation import accumulate
from keras_llm.training.callbacks import AveragedWeights, Curves, SaveBest
from keras_llm.training.losses import (
    PairCrossEntropy,
    RDropCrossEntropy,
    SquaredError,
    TokenAccuracy,
    TokenCrossEntropy,
    TokenLoss,
)
from keras_llm.training.optimizers import AdamW

FOLDER = pathlib.Path(sys.argv[1])


def refusal(function, *arguments, **keywords):
    """The words of the ValueError that a call raises."""
    try:
        function(*arguments, **keywords)
    except ValueError as error:
        return str(error)


def trained(name, parts=1):
    """Trains a model for a few steps, batches in parts: Keras' figures, the change of the weights, what it predicts."""
    keras.utils.set_random_seed(0)
    model, train = make(name, layers=1)
    before = model.get_weights()
    metrics = [TokenLoss(), TokenAccuracy()]
    model.compile(AdamW(3e-3), TokenCrossEntropy(), metrics=metrics, jit_compile=False)
    accumulate(model, parts)
    history = model.fit(train.stream(), steps_per_epoch=2, epochs=2, shuffle=False, verbose=0).history
    change = [after - own for after, own in zip(model.get_weights(), before) if after.dtype.kind == "f"]
    found = {"history": history, "change": [float(np.abs(own).sum()) for own in change]}
    if name == "gpt2":
        train.shuffle = False  # one pass
        found["evaluated"] = model.evaluate(train.stream(), verbose=0, return_dict=True)
        logits = model.predict(train.stream(), verbose=0)
        found["predicted"] = [list(logits.shape), float(np.abs(logits).mean())]
    return found


class Cut(Exception):
    """Raised in the middle of a run."""


class CutAt(keras.callbacks.Callback):
    """Raises it after so many steps."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Cut


def resumed(folder, cut=None):
    """A run with dropout and averaged weights: the sums of its weights, exactly, and the rows of its history."""
    keras.utils.set_random_seed(0)
    ids = np.random.default_rng(0).integers(0, 20, 150)
    model = GPT2Model(20, 8, 16, 1, 2, dropout=0.2)
    optimizer = AdamW(1e-2, use_ema=True, ema_momentum=0.8)
    model.compile(optimizer, TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=False)
    curves = Curves(folder, other="val_token_loss")
    callbacks = [AveragedWeights(), SaveBest(folder / "model.keras"), curves, *([CutAt(cut)] if cut else [])]
    try:
        resuming.fit(
            model,
            TokenWindows(ids, 8, 4, seed=1),
            folder,
            epochs=2,
            steps_per_epoch=4,
            callbacks=callbacks,
            save_every=1,
            validation=TokenWindows(ids[:40], 8, 4, shuffle=False),
        )
    except Cut:
        return resumed(folder)
    return [weights.tobytes().hex() for weights in model.get_weights()], curves.rows


def shares(loss, labels, outputs):
    """A loss as the sum of what the replicas have of it: rows split over them."""

    def on_replica(labels, outputs):
        return tf.distribute.get_replica_context().all_reduce("SUM", loss(labels, outputs))

    def split(array):
        parts = np.split(array, 2)
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    strategy = tf.distribute.get_strategy()
    return float(
        strategy.experimental_local_results(strategy.run(on_replica, (split(labels), split(outputs))))[0]
    )


random = np.random.default_rng(0)
labels = np.array([[1, -100, 2], [-100] * 3, [3, 3, 0], [-100, 1, 1]], "int32")  # 2 labels here, 5 there
twins = np.repeat(labels[[0, 3]], 2, axis=0)
numbers = np.array([1, np.nan, 3, 4], "float32")
LOSSES = {
    "cross-entropy": (
        TokenCrossEntropy(label_smoothing=0.1),
        labels,
        random.normal(size=(4, 3, 5)).astype("float32"),
    ),
    "r-drop": (RDropCrossEntropy(0.7), twins, random.normal(size=(4, 3, 5)).astype("float32")),
    "squared error": (SquaredError(), numbers, random.normal(size=(4, 1)).astype("float32")),
}
MODELS = ("gpt2", "bert_masked_lm", "transformer")
found = {
    "one": {name: trained(name) for name in MODELS},
    "losses": {name: float(loss(*given)) for name, (loss, *given) in LOSSES.items()},
    "xla": [distribution.allows_xla()],
}
distribution.use("mirrored")
found |= {
    "mirrored": {name: trained(name) for name in MODELS},
    "in parts": trained("gpt2", parts=2),
    "losses mirrored": {name: shares(loss, *given) for name, (loss, *given) in LOSSES.items()},
    "whole": resumed(FOLDER / "whole"),
    "cut": resumed(FOLDER / "cut", 6),
    "odd batch": refusal(TokenWindows(np.arange(50), 4, 3).stream),
    "odd twins": refusal(PaddedBatches({"token_ids": [[1]] * 6}, np.zeros(6), 1, (4,), copies=2).stream),
    "pairs": refusal(PairCrossEntropy),
}
found["xla"].append(distribution.allows_xla())
print(json.dumps(found))

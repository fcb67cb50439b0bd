"""Micro-batches make the step of the whole batch, on both backends."""

import functools
import types

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.models.bert import BertClassifier, BertEncoder, BertMaskedLM
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.training.accumulation import accumulate, check_batches
from keras_llm.training.losses import (
    PairCrossEntropy,
    RDropCrossEntropy,
    SquaredError,
    TokenAccuracy,
    TokenCrossEntropy,
    TokenLoss,
)
from keras_llm.training.optimizers import AdamW

ROWS, LENGTH, VOCABULARY = 8, 12, 30


def ragged_batch(kind, seed=0):
    """Inputs and labels whose rows are of very unequal length; one has no label at all."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(4, VOCABULARY, (ROWS, LENGTH)).astype("int32")
    labels = rng.integers(4, VOCABULARY, (ROWS, LENGTH)).astype("int32")
    real = np.arange(LENGTH) < np.array([12, 1, 0, 3, 9, 2, 7, 1])[:, None]
    labels = np.where(real, labels, IGNORED_LABEL).astype("int32")
    padded = np.where(real | (np.arange(LENGTH) < 1), ids, 0).astype("int32")
    if kind == "gpt2":
        return ids, labels
    if kind == "transformer":
        return {"source_ids": padded[:, ::-1].copy(), "target_ids": padded}, labels
    places = np.tile(np.arange(5, dtype="int32"), (ROWS, 1))
    return {"token_ids": padded, "masked_positions": places}, labels[:, :5]


def make_model(kind, dropout=0.0):
    keras.utils.set_random_seed(0)
    if kind == "gpt2":
        return GPT2Model(VOCABULARY, LENGTH, 16, 1, 2, dropout=dropout)
    if kind == "transformer":
        return Transformer(VOCABULARY, None, LENGTH, 16, 1, 2, dropout=dropout)
    return BertMaskedLM(BertEncoder(VOCABULARY, LENGTH, 16, 1, 2, dropout=dropout))  # its pooler is not used


def train(kind, parts, steps=1, optimizer=None, loss=None, jit_compile=True, dropout=0.0):
    """Weights, and what Keras logs, after some steps."""
    model = make_model(kind, dropout)
    model.compile(
        optimizer or keras.optimizers.SGD(1.0),
        loss or TokenCrossEntropy(),
        metrics=[TokenLoss(), TokenAccuracy()],
        jit_compile=jit_compile,
    )
    accumulate(model, parts)
    batches = [ragged_batch(kind, seed) for seed in range(steps)]
    logs = model.fit((batch for batch in batches), steps_per_epoch=steps, verbose=0).history
    return model.get_weights(), {name: values[-1] for name, values in logs.items()}


def largest_difference(one, two):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, two))


@functools.cache
def whole_step(kind):
    return train(kind, 1)


@pytest.mark.parametrize("kind", ["gpt2", "bert", "transformer"])
def test_four_parts_make_the_step_of_the_whole(kind):
    whole, logs = whole_step(kind)
    parts, logs_of_parts = train(kind, 4)
    before = make_model(kind).get_weights()
    assert largest_difference(whole, before) > 1e-2
    assert largest_difference(whole, parts) < 1e-6
    assert logs == pytest.approx(logs_of_parts, rel=1e-5)


def test_a_mean_of_means_is_another_step(monkeypatch):
    """So the test above can fail: parts that all weigh the same, as `gradient_accumulation_steps` has it."""
    whole, _ = whole_step("gpt2")
    monkeypatch.setattr(
        TokenCrossEntropy, "count", lambda self, labels: keras.ops.cast(keras.ops.shape(labels)[0], "float32")
    )
    means, _ = train("gpt2", 4)  # shares of the rows, 2 / 8 each, and not of the tokens
    assert largest_difference(whole, means) > 1e-3


def test_several_steps_with_smoothing_and_averaged_weights():
    def run(parts):
        optimizer = AdamW(1e-2, epsilon=1e-3, use_ema=True, ema_momentum=0.5)
        return (*train("bert", parts, 3, optimizer, TokenCrossEntropy(0.1)), optimizer)

    whole, logs, optimizer = run(1)
    parts, logs_of_parts, optimizer_of_parts = run(2)
    assert largest_difference(whole, parts) < 1e-6
    assert logs == pytest.approx(logs_of_parts, rel=1e-5)
    averages = [
        [keras.ops.convert_to_numpy(value) for value in own._model_variables_moving_average]
        for own in (optimizer, optimizer_of_parts)
    ]
    assert largest_difference(*averages) < 1e-6
    assert largest_difference(averages[0], whole) > 1e-4
    assert int(optimizer.iterations) == int(optimizer_of_parts.iterations) == 3


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX compiles every shape")
def test_without_xla_and_with_batches_of_several_shapes():
    rows = [list(np.random.default_rng(i).integers(4, VOCABULARY, 2 + i % 9)) for i in range(16)]

    def run(parts, loss, labels):
        keras.utils.set_random_seed(0)
        model = BertClassifier(BertEncoder(VOCABULARY, LENGTH, 16, 1, 2, dropout=0.0), num_classes=1)
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
        batches = PaddedBatches({"token_ids": rows}, labels, 6, (6, LENGTH), seed=1)
        check_batches(batches, parts, model.loss)
        accumulate(model, parts)
        model.fit(batches.stream(), steps_per_epoch=batches.steps_per_epoch, shuffle=False, verbose=0)
        return model.get_weights()

    labels = np.random.default_rng(0).normal(size=16).astype("float32")
    assert largest_difference(run(1, SquaredError(), labels), run(3, SquaredError(), labels)) < 1e-6


def test_twins_stay_together():
    labels = np.array([1, 1, 0, 0, 1, 1, IGNORED_LABEL, IGNORED_LABEL], "int32")
    ids = np.random.default_rng(0).integers(4, VOCABULARY, (8, LENGTH)).astype("int32")

    def run(parts):
        keras.utils.set_random_seed(0)
        model = BertClassifier(BertEncoder(VOCABULARY, LENGTH, 16, 1, 2, dropout=0.0))
        model.compile(keras.optimizers.SGD(0.1), RDropCrossEntropy(2.0))
        accumulate(model, parts)
        model.train_on_batch(ids, labels)  # neighbours differ, as dropout would make them differ
        return model.get_weights()

    assert largest_difference(run(1), run(2)) < 1e-6


def test_each_part_has_dropout_of_its_own():
    """The seeds count on from part to part, and are there after the step."""
    model = make_model("gpt2", dropout=0.5)
    ids, labels = ragged_batch("gpt2")
    seeds = [v for v in model.non_trainable_variables if "seed" in v.path]
    counts = [[int(np.array(seed)[1]) for seed in seeds]]
    model(ids, training=True)
    counts.append([int(np.array(seed)[1]) for seed in seeds])
    model.compile(keras.optimizers.SGD(1.0), TokenCrossEntropy())
    accumulate(model, 4)
    model.train_on_batch(ids, labels)
    counts.append([int(np.array(seed)[1]) for seed in seeds])
    once, four_times = np.diff(counts, axis=0)
    assert once.min() > 0
    np.testing.assert_array_equal(four_times, 4 * once)


def test_what_cannot_be_cut_is_refused(monkeypatch):
    model = make_model("gpt2")
    model.compile(AdamW(), PairCrossEntropy())
    with pytest.raises(
        ValueError, match=r"The loss pair_cross_entropy cannot be worked out in parts: it needs"
    ):
        accumulate(model, 2)
    model.compile(AdamW(), TokenCrossEntropy())
    with pytest.raises(ValueError, match="micro_batches must be at least 1, not 0"):
        accumulate(model, 0)
    accumulate(model, 3)
    with pytest.raises(ValueError, match="A batch of 8 rows cannot be cut into 3 equal parts of whole rows"):
        model.train_on_batch(*ragged_batch("gpt2"))
    batches = PaddedBatches({"token_ids": [[1, 2]] * 8}, np.zeros(8, "int32"), 4, (4,), copies=2)
    check_batches(batches, 4, RDropCrossEntropy())
    with pytest.raises(
        ValueError, match="A batch of 8 rows cannot be cut into 8 equal parts of whole pairs of"
    ):
        check_batches(batches, 8, RDropCrossEntropy())
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(GPT2Model, "distribute_strategy", two, raising=False)
    with pytest.raises(ValueError, match=r"does not work on the 2 replicas of tf\.distribute"):
        accumulate(model, 2)

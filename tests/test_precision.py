"""Half precision where it saves, float32 where it must be; and activations that are computed twice."""

import keras
import numpy as np
import pytest
from test_accumulation import LENGTH, VOCABULARY, largest_difference, ragged_batch

from keras_llm.datasets.batches import TokenWindows
from keras_llm.layers import rematerialize
from keras_llm.models.bert import BertEncoder, BertMaskedLM
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.training import resuming
from keras_llm.training.accumulation import accumulate
from keras_llm.training.callbacks import AveragedWeights
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

JAX = keras.backend.backend() == "jax"


def make_model(kind, dtype, dropout=0.0):
    keras.utils.set_random_seed(0)
    if kind == "gpt2":
        return GPT2Model(VOCABULARY, LENGTH, 16, 1, 2, dropout=dropout, dtype=dtype)
    if kind == "transformer":
        return Transformer(VOCABULARY, None, LENGTH, 16, 1, 2, dropout=dropout, dtype=dtype)
    return BertMaskedLM(BertEncoder(VOCABULARY, LENGTH, 16, 1, 2, dropout=dropout, pooler=False, dtype=dtype))


def losses_of(kind, dtype, steps=8):
    model = make_model(kind, dtype)
    model.compile(AdamW(1e-2), TokenCrossEntropy(), jit_compile=JAX)
    return model, [float(model.train_on_batch(*ragged_batch(kind))) for _ in range(steps)]


def test_bfloat16_follows_float32_and_float32_stays_where_it_must():
    _, exact = losses_of("gpt2", "float32")
    model, losses = losses_of("gpt2", "mixed_bfloat16")
    assert losses == pytest.approx(exact, rel=0.02)
    assert exact[-1] < exact[0] - 0.2
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {v.dtype for v in [*model.optimizer.means, *model.optimizer.squares]} == {"float32"}
    assert model.blocks[0].compute_dtype == model.final_norm.compute_dtype == "bfloat16"


@pytest.mark.parametrize("kind", ["gpt2", "bert", "transformer"])
def test_padding_gives_numbers_in_float16(kind):
    """-1e9 is no float16; and a row may be all padding."""
    inputs, _ = ragged_batch(kind)
    if isinstance(inputs, dict):
        for name in inputs:
            inputs[name][2] = 0
        logits = make_model(kind, "mixed_float16")(inputs)
    else:
        mask = (
            np.arange(LENGTH) >= np.array([0, 11, 12, 3, 5, 0, 1, 7])[:, None]
        )  # on the left; one row has nothing
        logits = make_model(kind, "mixed_float16")(inputs, padding_mask=mask)
    assert keras.backend.standardize_dtype(logits.dtype) == "float16"
    assert np.isfinite(keras.ops.convert_to_numpy(logits)).all()


def test_a_step_that_overflows_is_skipped():
    model = make_model("bert", "mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(AdamW(1e-2), initial_scale=2.0**40)
    model.compile(optimizer, TokenCrossEntropy(), jit_compile=JAX)
    accumulate(model, 2)
    before = model.get_weights()
    loss = model.train_on_batch(*ragged_batch("bert"))
    assert np.isfinite(loss)
    assert largest_difference(before, model.get_weights()) == 0.0
    assert (int(optimizer.iterations), float(optimizer.dynamic_scale)) == (0, 2.0**39)
    optimizer.dynamic_scale.assign(1024.0)
    model.train_on_batch(*ragged_batch("bert"))
    assert 0.0 < largest_difference(before, model.get_weights()) < 0.02
    assert (int(optimizer.iterations), float(optimizer.dynamic_scale)) == (1, 1024.0)


class Cut(Exception):
    pass


def test_float16_goes_on_after_a_cut_with_its_scale_and_averages(tmp_path):
    def run(folder, cut=None):
        model = make_model("gpt2", "mixed_float16", dropout=0.2)
        model.compile(
            AdamW(1e-2, use_ema=True, ema_momentum=0.8), TokenCrossEntropy(), jit_compile=JAX
        )  # Keras puts the scaling around it
        model.optimizer.initial_scale = 2.0**18  # overflows in the first steps

        def at_end(step, logs):
            if step == cut:
                raise Cut

        resuming.fit(
            model,
            TokenWindows(np.random.default_rng(0).integers(0, VOCABULARY, 200), LENGTH, 3, seed=1),
            folder,
            epochs=1,
            steps_per_epoch=6,
            callbacks=[AveragedWeights(), keras.callbacks.LambdaCallback(on_train_batch_end=at_end)],
            save_every=1,
        )
        return [*model.get_weights(), *map(keras.ops.convert_to_numpy, model.optimizer.variables)]

    whole = run(tmp_path / "whole")
    with pytest.raises(Cut):
        run(tmp_path / "cut", cut=3)
    again = run(tmp_path / "cut")
    assert len(whole) == len(again)
    for one, two in zip(whole, again):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("kind", "parts"), [("gpt2", 2), pytest.param("transformer", 1, marks=pytest.mark.slow)]
)
def test_rematerialized_blocks_give_the_same_steps_with_dropout(kind, parts):
    def run(on):
        model = make_model(kind, "float32", dropout=0.3)
        model.compile(keras.optimizers.SGD(0.5), TokenCrossEntropy(), jit_compile=JAX)
        accumulate(model, parts)
        if on:
            rematerialize(model)
        losses = [float(model.train_on_batch(*ragged_batch(kind))) for _ in range(2)]
        return losses, [keras.ops.convert_to_numpy(variable) for variable in model.variables]

    losses, variables = run(False)
    losses_again, variables_again = run(True)
    assert losses_again == pytest.approx(losses, rel=1e-6)
    assert largest_difference(variables, variables_again) < 1e-6  # seeds too


def test_only_blocks_can_be_rematerialized():
    with pytest.raises(ValueError, match="Sequential has no blocks to rematerialize"):
        rematerialize(keras.Sequential([keras.layers.Dense(2)]))

"""The forecast of a step's memory beside what XLA reserves for it, and the warning before the first step."""

import functools
import re

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import TokenWindows
from keras_llm.layers import rematerialize
from keras_llm.models.bert import BertEncoder, BertMaskedLM
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.training import memory
from keras_llm.training.accumulation import accumulate
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

jax_only = pytest.mark.skipif(keras.backend.backend() != "jax", reason="XLA tells on JAX what it reserves")


@functools.cache
def measured(kind, parts=1, remat=False, heads=4, dropout=0.0):
    """The forecast by part, and what XLA reserves."""
    length, layers = 64, 3
    ids = np.random.default_rng(0).integers(1, 500, (8, length)).astype("int32")
    inputs, labels = ids, ids
    if kind == "gpt2":
        model = GPT2Model(500, length, 64, layers, heads, dropout=dropout)
    elif kind == "bert":
        model = BertMaskedLM(BertEncoder(500, length, 64, layers, heads, dropout=dropout, pooler=False))
        inputs = {"token_ids": ids, "masked_positions": ids[:, :8] % length}
        labels = ids[:, :8]
    else:
        model = Transformer(500, None, length, 64, layers, heads, dropout=dropout)
        inputs = {"source_ids": ids, "target_ids": ids[:, : length // 2]}
        labels = ids[:, : length // 2]
    model.compile(AdamW(), TokenCrossEntropy(), jit_compile=True)
    accumulate(model, parts)
    if remat:
        rematerialize(model)
    return memory.forecast(model, inputs, labels, parts), memory.compiled_bytes(model, inputs, labels)


@jax_only
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "gpt2"},
        {"kind": "gpt2", "remat": True},
        {"kind": "gpt2", "parts": 4},
        pytest.param({"kind": "bert", "heads": 16, "dropout": 0.1}, marks=pytest.mark.slow),
        pytest.param({"kind": "transformer"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_forecast_is_within_its_factor(settings):
    parts, reserved = measured(**settings)
    assert 1 / memory.FACTOR < sum(parts.values()) / reserved < memory.FACTOR


@jax_only
def test_parts_and_rematerialized_blocks_take_less():
    """No loop keeps the activations of all its parts, and no block its own."""
    whole, reserved = measured("gpt2")
    for settings in ({"parts": 4}, {"remat": True}):
        parts, less = measured("gpt2", **settings)
        saved, foreseen = reserved - less, sum(whole.values()) - sum(parts.values())
        assert saved > 0.4 * (whole["activations"])
        assert 1 / memory.FACTOR < foreseen / saved < memory.FACTOR


def test_bytes_of_one_step_by_hand():
    ids = np.zeros((6, 10), "int32")
    model = GPT2Model(100, 10, 16, 2, 4, inner_dim=32, dropout=0.0)
    n = model.count_params()
    block = 6 * 10 * ((10 * 16 + 3 * 32) * 4 + 4 * 10 * 12)
    expected = {
        "weights": 4 * n,
        "gradients": 4 * n,
        "optimizer": 8 * n,
        "activations": 2 * block,
        "logits": 6 * 10 * 100 * 16,
    }
    assert memory.forecast(model, ids, ids) == expected
    parts = memory.forecast(model, ids, ids, accumulate=3, half=True)
    assert parts["gradients"] == 8 * n
    assert parts["logits"] == 2 * 10 * 100 * 14
    assert parts["activations"] == 2 * 2 * 10 * ((10 * 16 + 3 * 32) * 2 + 4 * 10 * 10)
    rematerialize(model)
    assert memory.forecast(model, ids, ids)["activations"] == 2 * 6 * 10 * 16 * 4 + block
    dropping = GPT2Model(100, 10, 16, 2, 4, inner_dim=32, dropout=0.1)
    more = memory.forecast(dropping, ids, ids)["activations"] - 2 * block
    assert more == 2 * 6 * 10 * 4 * 10 * 8


def test_too_little_memory_is_told_before_the_first_step(monkeypatch):
    model = GPT2Model(100, 10, 16, 2, 4)
    model.compile(AdamW(use_ema=True), TokenCrossEntropy())
    batches = TokenWindows(np.arange(1000) % 100, 10, 32)
    parts = memory.forecast(model, *batches.batch(0))
    needed = sum(parts.values())
    assert parts["optimizer"] == 3 * parts["weights"]
    monkeypatch.setattr(memory, "available_bytes", lambda: needed)
    memory.check(model, batches)
    monkeypatch.setattr(memory, "available_bytes", lambda: int(needed / 1.2))
    about = re.escape(f"{needed / 1e6:.1f} MB (weights ")
    with pytest.warns(
        UserWarning, match=f"A training step needs about {about}.* What would save: half the batch"
    ):
        memory.check(model, batches)
    monkeypatch.setattr(memory, "available_bytes", lambda: int(needed / 2))
    saved = needed - sum(memory.forecast(model, *batches.batch(0), accumulate=2).values())
    with pytest.raises(
        ValueError, match=rf"--accumulate 2 {saved / 1e6:.1f} MB.*--rematerialize .* MB.*--precision"
    ):
        memory.check(model, batches)
    monkeypatch.setattr(memory, "available_bytes", lambda: None)  # nobody tells
    memory.check(model, batches)


def test_this_machine_tells_its_memory():
    assert 10**7 < memory.available_bytes() < 10**14

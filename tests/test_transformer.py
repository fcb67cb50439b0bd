"""The encoder-decoder against what PyTorch's layers computed (tests/fixtures), and against itself."""

import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.models.transformer import PRESETS, Transformer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "transformer"
SIZES = {
    "vocabulary_size": 41,
    "context_length": 16,
    "hidden_dim": 20,
    "num_layers": 2,
    "num_heads": 4,
    "inner_dim": 36,
    "dropout": 0.0,
}
VARIANTS = [
    {},
    {"norm_first": True, "positions": "learned"},
    {"target_vocabulary_size": 29, "activation": "gelu"},
]


def tiny(**overrides):
    """A model far from its initial values, the same on every backend."""
    model = Transformer(**{**SIZES, **overrides})
    for i, variable in enumerate(model.trainable_variables):
        noise = np.random.default_rng(i).normal(size=variable.shape, scale=0.3)
        variable.assign(noise + variable.path.endswith("gamma"))
    return model


def ids(*shape, high=29, seed=0):
    return np.random.default_rng(seed).integers(1, high, shape).astype("int32")


def logits_of(model, source_ids, target_ids):
    return np.asarray(model({"source_ids": source_ids, "target_ids": target_ids}))


# --- Against PyTorch ------------------------------------------------------------------------------------


def assign_torch(layer, weights, prefix):
    """Gives attention, dense and norm layers the tensors that PyTorch's layers have under `prefix`."""
    if hasattr(layer, "query_projection"):
        kernels = np.split(weights[f"{prefix}.in_proj_weight"], 3)
        biases = np.split(weights[f"{prefix}.in_proj_bias"], 3)
        projections = layer.query_projection, layer.key_projection, layer.value_projection
        for projection, kernel, bias in zip(projections, kernels, biases):
            projection.set_weights([kernel.T, bias])
        assign_torch(layer.output_projection, weights, f"{prefix}.out_proj")
    else:
        layer.set_weights([weights[f"{prefix}.weight"].T, weights[f"{prefix}.bias"]])


def from_torch(weights, norm_first):
    model = Transformer(**SIZES, norm_first=norm_first)
    model.source_embedding.set_weights([weights["embedding.weight"]])
    for i in range(model.num_layers):
        names = {"attention": "self_attn", "attention_norm": "norm1", "feed_forward_norm": "norm2"}
        cross = {**names, "cross_attention": "multihead_attn", "cross_attention_norm": "norm2"}
        for part, block, own in (
            ("encoder", model.encoder_blocks[i], names),
            ("decoder", model.decoder_blocks[i], {**cross, "feed_forward_norm": "norm3"}),
        ):
            prefix = f"{part}.layers.{i}"
            for attribute, name in own.items():
                assign_torch(getattr(block, attribute), weights, f"{prefix}.{name}")
            assign_torch(block.feed_forward.inner, weights, f"{prefix}.linear1")
            assign_torch(block.feed_forward.outer, weights, f"{prefix}.linear2")
    if norm_first:
        assign_torch(model.encoder_norm, weights, "encoder.norm")
        assign_torch(model.decoder_norm, weights, "decoder.norm")
    return model


@pytest.mark.parametrize("name", ["post_norm", "pre_norm"])
def test_logits_equal_those_of_pytorch(name):
    expected = np.load(FIXTURES / f"{name}.npz")
    weights = {key.removeprefix("weights/"): value for key, value in expected.items()}
    model = from_torch(weights, norm_first=name == "pre_norm")
    logits = logits_of(model, expected["source_ids"], expected["target_ids"])
    assert np.abs(logits - expected["logits"]).max() < 1e-5 * np.abs(expected["logits"]).max()


# --- Against itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_of_the_source_on_either_side_changes_nothing(variant):
    model = tiny(**variant)
    source, target = ids(2, 6), ids(2, 5, seed=1)
    expected = logits_of(model, source, target)
    for left, right in ((0, 5), (3, 0), (2, 4)):
        padded = np.pad(source, ((0, 0), (left, right)))
        np.testing.assert_allclose(logits_of(model, padded, target), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_stands_behind_a_target_token_changes_nothing(variant):
    model = tiny(**variant)
    source, target = ids(2, 6), ids(2, 5, seed=1)
    other = target.copy()
    other[:, 3:] = 0  # padding, as in training
    expected = logits_of(model, source, target)[:, :3]
    np.testing.assert_allclose(logits_of(model, source, other)[:, :3], expected, rtol=1e-5, atol=1e-6)


def test_the_order_of_a_batch_is_the_order_of_the_results():
    model, order = tiny(), [2, 0, 3, 1]
    source, target = ids(4, 7), ids(4, 5, seed=1)
    source[1, 4:] = source[2, 2:] = 0
    expected = logits_of(model, source, target)
    permuted = logits_of(model, source[order], target[order])
    np.testing.assert_allclose(permuted, expected[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pieces", [(1,) * 7, (3, 1, 3)])
def test_cached_steps_equal_the_whole(variant, pieces):
    model = tiny(**variant)
    source_ids, target = ids(3, 6), ids(3, 7, seed=1)
    source_ids[1, 3:] = 0
    source, cache, logits, position = model.read_source(source_ids), model.initial_cache(3, 9), [], 0
    for size in pieces:
        piece = target[:, position : position + size]
        own, cache = model(piece, source=source, cache=cache, position=position)
        logits.append(np.asarray(own))
        position += size
    expected = logits_of(model, source_ids, target)
    np.testing.assert_allclose(np.concatenate(logits, axis=1), expected, rtol=1e-4, atol=1e-4)


def test_attention_looks_at_real_source_tokens_alone():
    model = tiny()
    source = ids(2, 6)
    source[0, 4:] = 0
    inputs = {"source_ids": source, "target_ids": ids(2, 5, seed=1)}
    logits, attention = model(inputs, return_attention=True)
    np.testing.assert_allclose(logits, model(inputs), rtol=1e-6)
    assert [weights.shape for weights in attention] == [(2, 4, 5, 6)] * 2
    for weights in map(np.asarray, attention):
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
        assert (weights[0, :, :, 4:] == 0).all() and (weights[1] > 0).all()


def test_one_embedding_or_two():
    shared, separate = tiny(), tiny(target_vocabulary_size=29)
    assert shared.target_embedding is shared.source_embedding
    assert separate.count_params() - shared.count_params() == 29 * 20
    assert logits_of(separate, ids(1, 3), ids(1, 2)).shape == (1, 2, 29)


def test_parameters_of_the_published_size():
    # Vaswani et al. 2017, table 3, base with its 37,000 tokens: 6 blocks of the encoder with attention 4 (d^2 + d),
    # feed-forward 2 d f + f + d and two norms 4 d; of the decoder with one more attention and norm
    d, f = 512, 2048
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * f + f + d, 2 * d
    encoder, decoder = attention + feed_forward + 2 * norm, 2 * attention + feed_forward + 3 * norm
    model = Transformer.from_preset("base", vocabulary_size=37_000)
    assert model.count_params() == 37_000 * d + 6 * (encoder + decoder) == 63_082_496
    for name in PRESETS:
        Transformer.from_preset(name, vocabulary_size=10, num_layers=1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_model_loads_in_a_fresh_process(variant, tmp_path):
    model = tiny(**variant)
    source, target = ids(2, 6), ids(2, 5, seed=1)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "arrays.npz", source=source, target=target, logits=logits_of(model, source, target))
    code = f"""
import keras, numpy as np, keras_llm.models.transformer
arrays = np.load({str(tmp_path / "arrays.npz")!r})
model = keras.saving.load_model({str(tmp_path / "model.keras")!r})
logits = model({{"source_ids": arrays["source"], "target_ids": arrays["target"]}})
np.testing.assert_allclose(logits, arrays["logits"], rtol=1e-6, atol=1e-6)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    again = Transformer.from_config(model.get_config())
    assert [v.path for v in again.variables] == [v.path for v in model.variables]


def test_mixed_precision_keeps_float32_weights():
    model = Transformer(**SIZES, dtype="mixed_bfloat16", norm_first=True)
    assert {variable.dtype for variable in model.variables} <= {"float32", "int32", "uint32"}
    logits = model({"source_ids": ids(1, 4), "target_ids": ids(1, 3)})
    assert keras.backend.standardize_dtype(logits.dtype) == "bfloat16"


def test_it_learns_to_copy():
    """A sequence of 5 to 9 letters, written again: at least 99 % of new ones right as a whole, in two minutes."""
    rng, started = np.random.default_rng(0), time.perf_counter()
    rows = [rng.integers(3, 23, rng.integers(5, 10)).tolist() for _ in range(4096)]
    features = {"source_ids": rows, "target_ids": [[1, *row] for row in rows]}
    batches = PaddedBatches(features, [[*row, 2] for row in rows], 64, lengths=(10,))
    keras.utils.set_random_seed(0)
    model = Transformer(23, None, 10, 64, 2, 4, 128, dropout=0.0, norm_first=True)
    steps = 10 * batches.steps_per_epoch
    model.compile(AdamW(WarmupCosine(3e-3, 60, steps)), TokenCrossEntropy(), jit_compile=True)
    model.fit(batches.stream(), steps_per_epoch=steps, shuffle=False, verbose=0)

    new = [rng.integers(3, 23, rng.integers(5, 10)).tolist() for _ in range(200)]
    source = np.zeros((200, 10), "int32")
    for row, own in zip(source, new):
        row[: len(own)] = own
    written = np.ones((200, 1), "int32")
    for _ in range(10):
        best = logits_of(model, source, written)[:, -1].argmax(axis=-1)
        written = np.concatenate([written, best[:, None].astype("int32")], axis=1)
    right = [row[1 : len(own) + 2].tolist() == [*own, 2] for row, own in zip(written, new)]
    assert np.mean(right) >= 0.99
    assert time.perf_counter() - started < 120


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (ids(1, 17), ids(1, 3), "17 source tokens are more than context_length=16"),
        (ids(1, 3), ids(1, 17), "17 target tokens are more than context_length=16"),
    ],
)
def test_too_long_a_text_is_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        tiny()({"source_ids": source, "target_ids": target})


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'positions must be "sinusoidal" or "learned"'):
        Transformer(10, positions="rotary")
    with pytest.raises(ValueError, match="preset='huge' is not known; choose from"):
        Transformer.from_preset("huge", vocabulary_size=10)

"""Attention block by block equals attention in one matrix: outputs, gradients, masks, dropout."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_llm.layers import MultiHeadAttention, attention, blockwise
from keras_llm.layers.blockwise import blockwise_attention, kept_weights

BATCH, HEADS, LENGTH, WIDTH = 2, 3, 41, 8  # 41 tokens are two whole blocks of 16 and a rest
SEED = np.array([3, 7], "uint32")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blockwise, "BLOCK", 16)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def mask_of(keys):
    mask = np.random.default_rng(1).random((BATCH, keys)) < 0.7
    mask[:, 0] = True  # at least one key each
    return mask


def one_matrix(query, key, value, mask=None, causal=False, dropout=0.0):
    scores = ops.einsum("bnth,bnkh->bntk", query, key)
    keys = key.shape[2]
    visible = np.ones((BATCH, 1, query.shape[2], keys), bool)
    if mask is not None:
        visible = visible & mask[:, None, None, :]
    if causal:
        visible = visible & np.tril(np.ones((keys, keys), bool))
    weights = ops.softmax(ops.where(ops.convert_to_tensor(visible), scores, -1e9))
    if dropout:
        weights = weights * kept_weights(ops.convert_to_tensor(SEED), dropout, weights.shape, 0, 0)
    return ops.einsum("bntk,bnkh->bnth", weights, value)


def output_and_gradients(attend, inputs, xla=False):
    """The output and the gradients of its product with fixed numbers."""
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    factors = numbers(*inputs[0].shape, seed=9)
    if keras.backend.backend() == "jax":
        import jax

        gradients = jax.jit(jax.grad(lambda *x: (attend(*x) * factors).sum(), argnums=(0, 1, 2)))
        return [np.asarray(x) for x in (attend(*inputs), *gradients(*inputs))]
    import tensorflow as tf

    @tf.function(jit_compile=xla)
    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = attend(*inputs)
            product = tf.reduce_sum(output * factors)
        return output, *tape.gradient(product, inputs)

    return [x.numpy() for x in run(*inputs)]


@pytest.mark.parametrize(("causal", "dropout", "xla"), [(True, 0.3, True), (False, 0.0, False)])
def test_it_equals_one_matrix(causal, dropout, xla):
    inputs = [numbers(BATCH, HEADS, LENGTH, WIDTH, seed=i) for i in range(3)]
    mask = mask_of(LENGTH)
    ours = functools.partial(
        blockwise_attention, key_mask=mask, causal=causal, dropout=dropout, seed=ops.convert_to_tensor(SEED)
    )
    plain = functools.partial(one_matrix, mask=mask, causal=causal, dropout=dropout)
    for own, other in zip(output_and_gradients(ours, inputs, xla), output_and_gradients(plain, inputs)):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)


def test_a_source_has_a_length_of_its_own():
    inputs = [numbers(BATCH, HEADS, length, WIDTH, seed=length) for length in (LENGTH, 20, 20)]
    for own, other in zip(
        output_and_gradients(blockwise_attention, inputs), output_and_gradients(one_matrix, inputs)
    ):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)


def test_large_scores_stay_finite():
    inputs = [30 * numbers(BATCH, HEADS, LENGTH, WIDTH, seed=i) for i in range(3)]
    for array in output_and_gradients(functools.partial(blockwise_attention, causal=True), inputs):
        assert np.isfinite(array).all()


def test_dropped_weights_are_as_many_as_asked_and_unrelated():
    kept = np.asarray(kept_weights(ops.convert_to_tensor(SEED), 0.3, (4, 4, 200, 200), 0, 0))
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.7)}
    dropped = kept == 0
    assert abs(dropped.mean() - 0.3) < 0.003  # 640,000 draws: five standard deviations
    for one, other in (
        (dropped[..., 1:], dropped[..., :-1]),
        (dropped[..., 1:, :], dropped[..., :-1, :]),
        (dropped[:, 1:], dropped[:, :-1]),
        (dropped[1:], dropped[:-1]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.008


def test_a_weight_is_dropped_or_not_whatever_block_it_is_in():
    seed = ops.convert_to_tensor(SEED)
    whole = np.asarray(kept_weights(seed, 0.5, (2, 2, 64, 64), 0, 0))
    part = np.asarray(kept_weights(seed, 0.5, (2, 2, 16, 8), 32, 40))
    np.testing.assert_array_equal(part, whole[:, :, 32:48, 40:48])
    other = np.asarray(kept_weights(seed + 1, 0.5, (2, 2, 64, 64), 0, 0))
    assert 0.4 < (whole != other).mean() < 0.6


def test_the_layer_takes_blocks_for_long_texts_alone(monkeypatch):
    layer = MultiHeadAttention(12, 3, causal=True, dropout=0.1)
    layer.build()
    x, mask = numbers(BATCH, LENGTH, 12), mask_of(LENGTH)
    plain = layer(x, padding_mask=mask)
    calls = []

    def watched(*arguments):
        calls.append(arguments)
        return blockwise_attention(*arguments)

    monkeypatch.setattr(attention, "blockwise_attention", watched)
    layer(x)
    assert not calls
    monkeypatch.setattr(attention, "LONG", LENGTH)
    np.testing.assert_allclose(layer(x, padding_mask=mask), plain, rtol=1e-5, atol=1e-6)
    assert len(calls) == 1 and calls[0][5] == 0.0
    layer(x, return_attention=True)  # the weights are wanted: one matrix
    layer(x[:, :1], cache=layer.initial_cache(BATCH, LENGTH))
    assert len(calls) == 1
    segments = np.repeat([[0, 1, 2]], [10, 20, LENGTH - 30], axis=1).repeat(BATCH, axis=0)
    packed = layer(x, segment_ids=ops.convert_to_tensor(segments))
    np.testing.assert_allclose(packed[:, 10:30], layer(x[:, 10:30]), rtol=1e-5, atol=1e-6)
    assert len(calls) == 2
    one, two = layer(x, training=True), layer(x, training=True)
    assert calls[2][5] == 0.1
    assert not np.allclose(one, two)  # other weights are dropped each time

"""Layers against NumPy, written here from the papers' formulas."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_llm.layers import (
    DecoderBlock,
    EncoderBlock,
    FeedForward,
    LearnedPositionEmbedding,
    MultiHeadAttention,
    RotaryEmbedding,
    SinusoidalPositionEncoding,
    token_positions,
)
from keras_llm.layers.dense import TRANSPOSED_PARTS, Dense, transposed_kernels, using_transposed_kernels

BATCH, LENGTH, SOURCE, DIM, HEADS = 3, 7, 5, 12, 3
rng = np.random.default_rng(0)


def randomize(layer, scale=0.5):
    if not layer.built:
        layer.build()
    for i, variable in enumerate(layer.weights):
        if "seed" not in variable.path:
            noise = np.random.default_rng(i).normal(size=variable.shape, scale=scale)
            variable.assign(np.asarray(variable) + noise.astype("float32"))
    return layer


def x_of(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


# The formulas


def np_softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def np_dense(layer, x):
    return x @ np.asarray(layer.kernel, "float64") + (
        np.asarray(layer.bias, "float64") if layer.use_bias else 0
    )


def np_norm(layer, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + layer.epsilon) * np.asarray(layer.gamma) + np.asarray(layer.beta)


def np_attention(layer, x, source, visible):
    """Vaswani et al. 2017, equation 1, head by head and query by query; visible[b][t] lists the keys."""
    query, key, value = (
        np_dense(projection, inputs)
        for projection, inputs in (
            (layer.query_projection, x),
            (layer.key_projection, source),
            (layer.value_projection, source),
        )
    )
    width = layer.head_dim
    output = np.zeros(x.shape)
    for b in range(x.shape[0]):
        for head in range(layer.num_heads):
            part = slice(head * width, (head + 1) * width)
            for t in range(x.shape[1]):
                keys = visible[b][t]
                weights = np_softmax(query[b, t, part] @ key[b, keys, part].T / np.sqrt(width))
                output[b, t, part] = weights @ value[b, keys, part]
    return np_dense(layer.output_projection, output)


def everything(batch, queries, keys):
    return [[list(range(keys))] * queries for _ in range(batch)]


def causal(batch, length):
    return [[list(range(t + 1)) for t in range(length)] for _ in range(batch)]


def close(ours, theirs, tolerance=1e-5):
    # A number near zero is the difference of larger ones, and as exact as these.
    smallest = tolerance * max(np.abs(theirs).max(), 1)
    np.testing.assert_allclose(np.asarray(ops.cast(ours, "float32")), theirs, rtol=tolerance, atol=smallest)


# Attention


@pytest.mark.parametrize("use_bias", [True, False])
def test_self_attention_equals_the_formula(use_bias):
    layer = randomize(MultiHeadAttention(DIM, HEADS, use_bias=use_bias))
    x = x_of(BATCH, LENGTH, DIM)
    close(layer(x), np_attention(layer, x, x, everything(BATCH, LENGTH, LENGTH)))


def test_causal_attention_sees_only_the_past():
    layer = randomize(MultiHeadAttention(DIM, HEADS, causal=True))
    x = x_of(BATCH, LENGTH, DIM)
    close(layer(x), np_attention(layer, x, x, causal(BATCH, LENGTH)))


def test_padding_mask_hides_keys():
    layer = randomize(MultiHeadAttention(DIM, HEADS))
    x = x_of(BATCH, LENGTH, DIM)
    mask = rng.random((BATCH, LENGTH)) < 0.6
    mask[:, 2] = True  # at least one key each
    visible = [[list(np.flatnonzero(row))] * LENGTH for row in mask]
    close(layer(x, padding_mask=mask), np_attention(layer, x, x, visible))


def test_causal_and_padding_masks_together():
    layer = randomize(MultiHeadAttention(DIM, HEADS, causal=True))
    x = x_of(BATCH, LENGTH, DIM)
    mask = np.ones((BATCH, LENGTH), bool)
    mask[1, 3:5] = False
    visible = causal(BATCH, LENGTH)
    visible[1] = [[k for k in keys if mask[1, k]] for keys in visible[1]]
    close(layer(x, padding_mask=mask), np_attention(layer, x, x, visible))


def test_cross_attention_equals_the_formula_also_from_projected_source():
    layer = randomize(MultiHeadAttention(DIM, HEADS))
    x, source = x_of(BATCH, LENGTH, DIM), x_of(BATCH, SOURCE, DIM)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], bool)
    visible = [[list(np.flatnonzero(row))] * LENGTH for row in mask]
    expected = np_attention(layer, x, source, visible)
    close(layer(x, source=source, padding_mask=mask), expected)
    close(layer(x, source=layer.project_source(source), padding_mask=mask), expected)


def test_cache_gives_the_outputs_of_the_whole_sequence():
    layer = randomize(MultiHeadAttention(DIM, HEADS, causal=True, rotary=True))
    x = x_of(BATCH, LENGTH, DIM)
    whole = np.asarray(layer(x))
    cache = layer.initial_cache(BATCH, LENGTH + 4)
    first, cache = layer(x[:, :3], cache=cache, position=0)
    pieces = [first]
    for t in range(3, LENGTH):
        piece, cache = layer(x[:, t : t + 1], cache=cache, position=t)
        pieces.append(piece)
    close(np.concatenate([np.asarray(piece) for piece in pieces], axis=1), whole)
    assert not np.asarray(cache[0])[:, LENGTH:].any()  # the rest of the cache was not touched


def test_attention_weights_on_request():
    layer = randomize(MultiHeadAttention(DIM, HEADS, causal=True))
    x = x_of(BATCH, LENGTH, DIM)
    output, weights = layer(x, return_attention=True)
    close(output, np.asarray(layer(x)))
    weights = np.asarray(weights)
    assert weights.shape == (BATCH, HEADS, LENGTH, LENGTH)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert (weights[:, :, ~np.tri(LENGTH, dtype=bool)] == 0).all()


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="hidden_dim=10 cannot be shared evenly by num_heads=3"):
        MultiHeadAttention(10, 3)


def test_dropout_is_on_in_training_alone():
    layer = randomize(MultiHeadAttention(DIM, HEADS, dropout=0.5))
    x = x_of(BATCH, LENGTH, DIM)
    still = np.asarray(layer(x))
    close(layer(x, training=False), still)
    assert np.abs(np.asarray(layer(x, training=True)) - still).max() > 1e-3


# Dense


@pytest.mark.parametrize("shape", [(1, 16), (1, 1, 16), (2, 1, 16), (1, 12)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_equals_the_formula_for_one_row_and_more(shape, use_bias):
    layer = Dense(5, activation="tanh", use_bias=use_bias)
    layer.build((None, shape[-1]))
    randomize(layer)
    x = x_of(*shape)
    y = np.asarray(layer(x))
    assert y.shape == (*shape[:-1], 5)
    np.testing.assert_allclose(y, np.tanh(np_dense(layer, x)), rtol=1e-5, atol=1e-6)


def test_one_row_also_goes_through_an_adapter():
    layer = Dense(5)
    layer.build((None, 16))
    layer.enable_lora(2, 4)
    randomize(layer)
    x = x_of(1, 16)
    added = np.asarray(layer.lora_kernel_a, "float64") @ np.asarray(layer.lora_kernel_b, "float64")
    expected = x @ (np.asarray(layer._kernel) + 4 / 2 * added) + np.asarray(layer.bias)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 16), (5, 1, 16), (2, 3, 16), (5, 7)])
def test_transposed_kernels_give_the_same_products(shape):
    width = 3 * TRANSPOSED_PARTS
    model = keras.Sequential([Dense(width, activation="tanh"), Dense(2 * TRANSPOSED_PARTS, use_bias=False)])
    model.build((None, *shape[1:]))
    randomize(model)
    x = x_of(*shape)
    expected = np_dense(model.layers[1], np.tanh(np_dense(model.layers[0], x)))
    kernels = transposed_kernels(model)
    assert [kernel.shape[1:] for kernel in kernels] == [(3, shape[-1]), (2, width)]
    with using_transposed_kernels(model, kernels):
        close(model(x), expected)
    zeros = [0 * kernel for kernel in kernels]
    with using_transposed_kernels(model, zeros):  # they are what is multiplied by
        close(model(x), 0 * expected)
    close(model(x), expected)


@pytest.mark.skipif(TRANSPOSED_PARTS == 1, reason="one part fits every width")
def test_a_width_that_cannot_be_shared_is_multiplied_as_it_is():
    model = keras.Sequential([Dense(TRANSPOSED_PARTS + 1)])
    model.build((None, 16))
    assert transposed_kernels(model) == []


# Positions


def test_sinusoids_equal_the_paper():
    encoding = np.asarray(SinusoidalPositionEncoding(8)(np.arange(50)))
    for position in (0, 1, 7, 49):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            assert encoding[position, 2 * i] == pytest.approx(np.sin(angle), abs=1e-5)
            assert encoding[position, 2 * i + 1] == pytest.approx(np.cos(angle), abs=1e-5)


def test_rotary_embedding_turns_pairs_and_leaves_distance():
    layer = RotaryEmbedding(6)
    heads = x_of(2, 1, 5, 6)
    positions = np.arange(5)
    turned = np.asarray(layer(heads, positions))
    for t in positions:
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            np.testing.assert_allclose(
                turned[:, 0, t, 2 * i : 2 * i + 2], heads[:, 0, t, 2 * i : 2 * i + 2] @ matrix.T, atol=1e-5
            )
    shifted = np.asarray(layer(heads, positions + 11))
    np.testing.assert_allclose(  # a product depends on the distance alone
        np.einsum("bnth,bnkh->bntk", turned, turned),
        np.einsum("bnth,bnkh->bntk", shifted, shifted),
        atol=1e-4,
    )


def test_learned_positions_are_rows_of_the_table():
    layer = randomize(LearnedPositionEmbedding(9, DIM))
    positions = np.array([[0, 3, 8], [1, 1, 2]])
    close(layer(positions), np.asarray(layer.embeddings)[positions])
    with pytest.raises(ValueError, match="10 tokens is longer than context_length=9"):
        layer(np.arange(10))


@pytest.mark.parametrize("make", [SinusoidalPositionEncoding, RotaryEmbedding])
def test_odd_widths_are_refused(make):
    with pytest.raises(ValueError, match="positive even number, not 7"):
        make(7)


def test_token_positions_skip_padding():
    mask = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    positions = np.asarray(token_positions(5, 0, mask))
    assert positions.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 3], [0, 1, 2, 3, 4]]
    assert np.asarray(token_positions(2, 3, mask)).tolist() == [[1, 2], [3, 3], [3, 4]]
    assert np.asarray(token_positions(3, 2)).tolist() == [2, 3, 4]


# Feed-forward and blocks

NP_ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(__import__("math").erf)(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def np_feed_forward(layer, x):
    return np_dense(layer.outer, NP_ACTIVATIONS[layer.activation](np_dense(layer.inner, x)))


@pytest.mark.parametrize("activation", NP_ACTIVATIONS)
def test_feed_forward_equals_the_formula(activation):
    layer = randomize(FeedForward(DIM, 20, activation))
    x = x_of(BATCH, LENGTH, DIM)
    close(layer(x), np_feed_forward(layer, x))


def test_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation='swush' is not known"):
        FeedForward(DIM, 20, "swush")


def np_block(block, x, visible, source=None, source_visible=None):
    def sublayer(x, norm, function):
        return x + function(np_norm(norm, x)) if block.norm_first else np_norm(norm, x + function(x))

    x = sublayer(x, block.attention_norm, lambda h: np_attention(block.attention, h, h, visible))
    if source is not None:
        x = sublayer(
            x,
            block.cross_attention_norm,
            lambda h: np_attention(block.cross_attention, h, source, source_visible),
        )
    return sublayer(x, block.feed_forward_norm, lambda h: np_feed_forward(block.feed_forward, h))


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder_block_equals_the_formula(norm_first):
    block = randomize(EncoderBlock(DIM, HEADS, 20, norm_first=norm_first, dropout=0.3))
    x = x_of(BATCH, LENGTH, DIM)
    mask = np.ones((BATCH, LENGTH), bool)
    mask[0, 4:] = False
    visible = [[list(np.flatnonzero(row))] * LENGTH for row in mask]
    close(block(x, padding_mask=mask), np_block(block, x, visible))


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_block_equals_the_formula(norm_first):
    block = randomize(DecoderBlock(DIM, HEADS, 20, cross_attention=True, norm_first=norm_first))
    x, source = x_of(BATCH, LENGTH, DIM), x_of(BATCH, SOURCE, DIM)
    source_mask = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]], bool)
    source_visible = [[list(np.flatnonzero(row))] * LENGTH for row in source_mask]
    expected = np_block(block, x, causal(BATCH, LENGTH), source, source_visible)
    close(block(x, source=source, source_mask=source_mask), expected)
    output, weights = block(x, source=source, source_mask=source_mask, return_attention=True)
    close(output, expected)
    assert weights.shape == (BATCH, HEADS, LENGTH, SOURCE)


def test_decoder_block_with_cache_equals_the_whole():
    block = randomize(DecoderBlock(DIM, HEADS, 20, cross_attention=True, norm_first=True))
    x, source = x_of(BATCH, LENGTH, DIM), x_of(BATCH, SOURCE, DIM)
    whole = np.asarray(block(x, source=source))
    cache = block.attention.initial_cache(BATCH, LENGTH)
    for t in range(LENGTH):
        step, cache, weights = block(
            x[:, t : t + 1], source=source, cache=cache, position=t, return_attention=True
        )
        close(step, whole[:, t : t + 1])
        assert weights.shape == (BATCH, HEADS, 1, SOURCE)


def test_source_must_fit_the_block():
    with pytest.raises(ValueError, match="source must be given"):
        DecoderBlock(DIM, HEADS, 20, cross_attention=True)(x_of(1, 2, DIM))
    with pytest.raises(ValueError, match="source must be given"):
        DecoderBlock(DIM, HEADS, 20)(x_of(1, 2, DIM), source=x_of(1, 2, DIM))


# Every layer: mixed precision, saving, tracing


def make_layers():
    return {
        "attention": MultiHeadAttention(DIM, HEADS, causal=True, rotary=True),
        "feed_forward": FeedForward(DIM, 20),
        "encoder": EncoderBlock(DIM, HEADS, 20),
        "decoder": DecoderBlock(DIM, HEADS, 20, norm_first=True),
    }


@pytest.mark.parametrize("name", make_layers())
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_stays_close_to_float32(name, policy):
    layer = randomize(make_layers()[name], scale=0.2)
    mixed = type(layer).from_config({**layer.get_config(), "dtype": policy})
    mixed.build()
    mixed.set_weights(layer.get_weights())
    x = x_of(BATCH, LENGTH, DIM)
    output = mixed(x)
    assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
    assert all(
        keras.backend.standardize_dtype(variable.dtype) == "float32" for variable in mixed.trainable_variables
    )
    tolerance = 0.08 if policy == "mixed_bfloat16" else 0.01
    np.testing.assert_allclose(
        np.asarray(ops.cast(output, "float32")), np.asarray(layer(x)), atol=tolerance, rtol=0.05
    )


@pytest.mark.parametrize("name", make_layers())
def test_saved_layers_load_equal(name, tmp_path):
    inputs = keras.Input((None, DIM))
    model = keras.Model(inputs, randomize(make_layers()[name])(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = x_of(2, 4, DIM)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


@pytest.mark.parametrize("name", make_layers())
def test_compiled_with_a_dynamic_batch_equals_eager(name):
    layer = randomize(make_layers()[name])
    for batch in (1, 4):
        x = x_of(batch, LENGTH, DIM)
        eager = np.asarray(layer(x))
        for compiled in compile_both_ways(layer):
            np.testing.assert_allclose(np.asarray(compiled(x)), eager, rtol=1e-5, atol=1e-5)


def compile_both_ways(layer):
    if keras.backend.backend() == "jax":
        import jax

        return [jax.jit(lambda x: layer(x))]
    import tensorflow as tf

    signature = [tf.TensorSpec([None, None, DIM], "float32")]
    return [
        tf.function(lambda x: layer(x), input_signature=signature),
        tf.function(lambda x: layer(x), input_signature=signature, jit_compile=True),
    ]

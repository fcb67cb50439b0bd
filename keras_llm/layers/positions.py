"""Where a token stands: the three ways of telling a Transformer about order."""

import keras
import numpy as np
from keras import ops


def token_positions(length, position=0, padding_mask=None, segment_ids=None):
    """Numbers the tokens of a batch from 0, skipping padding.

    Padding may stand left or right of a text: a token's number is the count of real tokens before it, so
    that a padded text gets the same positions, and the same outputs, as the text alone.

    Args:
        length: number of tokens at hand, `T`.
        position: how many places of the sequence come before these tokens (0 without a cache). An int
            or a scalar integer tensor.
        padding_mask: bool `[batch, K]`, True at real tokens; `K = T` without a cache, otherwise the
            length of the cache. `None` when nothing is padded.
        segment_ids: int `[batch, T]` where several texts stand in a row, a number for each: every text is
            numbered from 0. Not together with a cache or a mask.

    Returns:
        int32 positions, `[T]`, or `[batch, T]` with a mask or segments.
    """
    if segment_ids is not None:
        own = ops.cast(same_segment(segment_ids), "int32")  # [batch, T, T]
        return ops.sum(ops.tril(own), axis=-1) - 1  # [batch, T]
    if padding_mask is None:
        return position + ops.arange(length, dtype="int32")  # [T]
    counts = ops.cumsum(ops.cast(padding_mask, "int32"), axis=1) - 1  # [batch, K]
    window = ops.slice(counts, (0, position), (ops.shape(counts)[0], length))  # [batch, T]
    return ops.maximum(window, 0)


def same_segment(segment_ids):
    """Which tokens belong to one text: int `[batch, T]` -> bool `[batch, T, T]`."""
    return ops.equal(segment_ids[:, :, None], segment_ids[:, None, :])


def sinusoids(positions, dim, max_wavelength=10_000.0):
    """Angles of Vaswani et al. 2017, section 3.5: `position / max_wavelength^(2i / dim)`.

    Args:
        positions: integer tensor of any shape.
        dim: even number of features.
        max_wavelength: the base of the geometric progression of wavelengths.

    Returns:
        float32 tensor of angles, shape `positions.shape + [dim / 2]`.
    """
    frequencies = np.exp(-np.log(max_wavelength) * np.arange(0, dim, 2) / dim).astype("float32")  # [dim/2]
    return ops.cast(positions, "float32")[..., None] * frequencies


@keras.saving.register_keras_serializable(package="keras_llm")
class SinusoidalPositionEncoding(keras.layers.Layer):
    """Fixed position vectors (Vaswani et al. 2017, section 3.5).

    Feature `2i` is `sin(p / 10000^(2i/d))` and feature `2i + 1` is the cosine of the same angle: the
    interleaved order of the paper.

    Args:
        hidden_dim: features a position, even.
        max_wavelength: 10,000 in the paper.
    """

    def __init__(self, hidden_dim, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        _require_even("hidden_dim", hidden_dim)
        self.hidden_dim = hidden_dim
        self.max_wavelength = max_wavelength

    def call(self, positions):
        """int positions of any shape -> vectors, shape `positions.shape + [hidden_dim]`."""
        angles = sinusoids(positions, self.hidden_dim, self.max_wavelength)  # [..., hidden_dim/2]
        pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)  # [..., hidden_dim/2, 2]
        vectors = ops.reshape(pairs, (*ops.shape(positions), self.hidden_dim))  # [..., hidden_dim]
        return ops.cast(vectors, self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        own = {"hidden_dim": self.hidden_dim, "max_wavelength": self.max_wavelength}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_llm")
class LearnedPositionEmbedding(keras.layers.Layer):
    """A trained vector for each position (GPT-2, BERT).

    Args:
        context_length: number of positions; a longer sequence cannot be read.
        hidden_dim: features a position.
        initializer: of the table `[context_length, hidden_dim]`.
    """

    def __init__(self, context_length, hidden_dim, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.context_length = context_length
        self.hidden_dim = hidden_dim
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape=None):
        """Makes the table."""
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.context_length, self.hidden_dim), initializer=self.initializer
        )

    def call(self, positions):
        """int positions below `context_length` -> vectors, shape `positions.shape + [hidden_dim]`."""
        length = positions.shape[-1] if len(positions.shape) else None
        if length is not None and length > self.context_length:
            raise ValueError(
                f"A sequence of {length} tokens is longer than context_length={self.context_length}."
            )
        return ops.take(ops.cast(self.embeddings, self.compute_dtype), positions, axis=0)

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "context_length": self.context_length,
            "hidden_dim": self.hidden_dim,
            "initializer": keras.initializers.serialize(self.initializer),
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_llm")
class RotaryEmbedding(keras.layers.Layer):
    """Turns queries and keys by an angle that grows with the position (Su et al. 2021, RoFormer, section 3.2).

    Features `2i` and `2i + 1` are the two coordinates of one rotation, as in the paper. The product of a
    turned query and a turned key depends on their distance alone.

    Args:
        head_dim: features a head, even.
        max_wavelength: 10,000 in the paper.
    """

    def __init__(self, head_dim, max_wavelength=10_000.0, **kwargs):
        super().__init__(**kwargs)
        _require_even("head_dim", head_dim)
        self.head_dim = head_dim
        self.max_wavelength = max_wavelength

    def call(self, heads, positions):
        """Turns `heads` `[batch, num_heads, T, head_dim]` at int `positions`, `[T]` or `[batch, T]`."""
        angles = sinusoids(positions, self.head_dim, self.max_wavelength)  # [T or batch, T, head_dim/2]
        if len(angles.shape) == 3:
            angles = angles[:, None]  # [batch, 1, T, head_dim/2]: the same for every head
        cos, sin = ops.cast(ops.cos(angles), heads.dtype), ops.cast(ops.sin(angles), heads.dtype)
        even, odd = heads[..., 0::2], heads[..., 1::2]  # [batch, num_heads, T, head_dim/2]
        turned = ops.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
        return ops.reshape(turned, ops.shape(heads))  # [batch, num_heads, T, head_dim]

    def get_config(self):
        """The constructor's arguments."""
        own = {"head_dim": self.head_dim, "max_wavelength": self.max_wavelength}
        return {**super().get_config(), **own}


def _require_even(name, value):
    if value <= 0 or value % 2:
        raise ValueError(f"{name} must be a positive even number, not {value}.")

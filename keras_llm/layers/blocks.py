"""The blocks that a Transformer is stacked from."""

import keras

from keras_llm.layers.attention import MultiHeadAttention
from keras_llm.layers.dense import Dense
from keras_llm.layers.rematerialization import recomputed

# The names that checkpoints use, and what they mean. "gelu" is exact (with erf), the others the tanh formula.
ACTIVATIONS = {
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
}


@keras.saving.register_keras_serializable(package="keras_llm")
class FeedForward(keras.layers.Layer):
    """Two dense layers on each token alone (Vaswani et al. 2017, section 3.3).

    Args:
        hidden_dim: width of input and output.
        inner_dim: width between the two layers; usually `4 * hidden_dim`.
        activation: `"gelu"` (exact), `"gelu_tanh"` (GPT-2's), `"relu"` or `"silu"`.
        kernel_initializer: of the first layer.
        output_initializer: of the second layer; by default as `kernel_initializer`.
    """

    def __init__(
        self,
        hidden_dim,
        inner_dim,
        activation="gelu",
        kernel_initializer="glorot_uniform",
        output_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is not known; choose from {sorted(ACTIVATIONS)}.")
        self.hidden_dim = hidden_dim
        self.inner_dim = inner_dim
        self.activation = activation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer or kernel_initializer)
        self.inner = Dense(
            inner_dim, kernel_initializer=self.kernel_initializer, dtype=self.dtype_policy, name="inner"
        )
        self.outer = Dense(
            hidden_dim, kernel_initializer=self.output_initializer, dtype=self.dtype_policy, name="outer"
        )

    def build(self, input_shape=None):
        """Makes the variables."""
        self.inner.build((None, None, self.hidden_dim))
        self.outer.build((None, None, self.inner_dim))

    def call(self, x):
        """`[batch, T, hidden_dim]` -> `[batch, T, hidden_dim]`."""
        inner = ACTIVATIONS[self.activation](self.inner(x))  # [batch, T, inner_dim]
        return self.outer(inner)

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "hidden_dim": self.hidden_dim,
            "inner_dim": self.inner_dim,
            "activation": self.activation,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }
        return {**super().get_config(), **own}


class _Block(keras.layers.Layer):
    """What encoder and decoder blocks share: residual connections, norms and the feed-forward layer."""

    causal = False
    rematerialize = False  # set by the function of that name

    def __init__(
        self,
        hidden_dim,
        num_heads,
        inner_dim,
        dropout=0.0,
        activation="gelu",
        norm_first=False,
        epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        output_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.inner_dim = inner_dim
        self.dropout_rate = dropout
        self.activation = activation
        self.norm_first = norm_first
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer or kernel_initializer)

        self.attention = self._attention(causal=self.causal, name="attention")
        self.attention_norm = self._norm("attention_norm")
        self.feed_forward = FeedForward(
            hidden_dim,
            inner_dim,
            activation,
            self.kernel_initializer,
            self.output_initializer,
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape=None):
        """Makes the variables."""
        self.attention.build()
        self.feed_forward.build()
        for norm in (self.attention_norm, self.feed_forward_norm):
            norm.build((None, None, self.hidden_dim))

    def __call__(self, x, **arguments):
        """The block's output; where it is to be rematerialized, training keeps no activations of it."""
        if self.rematerialize and arguments.get("training"):
            return recomputed(self, x, **arguments)
        return super().__call__(x, **arguments)

    def _attention(self, causal, name):
        return MultiHeadAttention(
            self.hidden_dim,
            self.num_heads,
            causal=causal,
            dropout=self.dropout_rate,
            kernel_initializer=self.kernel_initializer,
            output_initializer=self.output_initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def _norm(self, name):
        return keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=self.dtype_policy, name=name)

    def _before(self, norm, x):
        """What a sublayer reads: the normalised `x` (pre-norm), or `x` itself (post-norm)."""
        return norm(x) if self.norm_first else x

    def _after(self, norm, x, output, training):
        """Adds a sublayer's output to `x`; post-norm blocks normalise the sum."""
        x = x + self.dropout(output, training=training)  # [batch, T, hidden_dim]
        return x if self.norm_first else norm(x)

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "inner_dim": self.inner_dim,
            "dropout": self.dropout_rate,
            "activation": self.activation,
            "norm_first": self.norm_first,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_llm")
class EncoderBlock(_Block):
    """Self-attention in both directions, then a feed-forward layer (Vaswani et al. 2017, section 3.1; BERT).

    Args:
        hidden_dim: width of input and output.
        num_heads: attention heads.
        inner_dim: inner width of the feed-forward layer.
        dropout: rate on the attention weights and on both sublayers' outputs.
        activation: of the feed-forward layer, see `FeedForward`.
        norm_first: pre-norm, `x + f(norm(x))`, as in GPT-2; otherwise post-norm, `norm(x + f(x))`, as in
            the paper and BERT.
        epsilon: of the layer norms.
        kernel_initializer: of all kernels but the two that write into the residual stream.
        output_initializer: of those two; by default as `kernel_initializer`.
    """

    def call(self, x, padding_mask=None, return_attention=False, training=None):
        """Reads `x` `[batch, T, hidden_dim]`; `padding_mask` bool `[batch, T]`, True at real tokens.

        Returns:
            `[batch, T, hidden_dim]`; with `return_attention` also the weights `[batch, num_heads, T, T]`.
        """
        h = self._before(self.attention_norm, x)
        h, *attention = _as_tuple(
            self.attention(h, padding_mask=padding_mask, return_attention=return_attention, training=training)
        )
        x = self._after(self.attention_norm, x, h, training)
        h = self.feed_forward(self._before(self.feed_forward_norm, x))
        x = self._after(self.feed_forward_norm, x, h, training)
        return (x, *attention) if return_attention else x


@keras.saving.register_keras_serializable(package="keras_llm")
class DecoderBlock(_Block):
    """Causal self-attention, attention to a source if there is one, then a feed-forward layer.

    With `cross_attention=True` it is the decoder block of Vaswani et al. 2017, section 3.1; without, with
    `norm_first=True`, it is GPT-2's.

    Args:
        hidden_dim, num_heads, inner_dim, dropout, activation, norm_first, epsilon, kernel_initializer,
            output_initializer: as in `EncoderBlock`.
        cross_attention: whether the block also reads a source.
    """

    causal = True

    def __init__(self, hidden_dim, num_heads, inner_dim, cross_attention=False, **kwargs):
        super().__init__(hidden_dim, num_heads, inner_dim, **kwargs)
        self.cross_attention = None
        if cross_attention:
            self.cross_attention = self._attention(causal=False, name="cross_attention")
            self.cross_attention_norm = self._norm("cross_attention_norm")

    def build(self, input_shape=None):
        """Makes the variables."""
        super().build()
        if self.cross_attention is not None:
            self.cross_attention.build()
            self.cross_attention_norm.build((None, None, self.hidden_dim))

    def call(
        self,
        x,
        source=None,
        padding_mask=None,
        source_mask=None,
        cache=None,
        position=0,
        segment_ids=None,
        return_attention=False,
        training=None,
    ):
        """Reads the target `x`, and the source where the block has cross-attention.

        Args:
            x: `[batch, T, hidden_dim]`.
            source: `[batch, S, hidden_dim]`, or what `cross_attention.project_source` made of it.
            padding_mask: bool `[batch, T]`, or `[batch, K]` over a cache of length `K`.
            source_mask: bool `[batch, S]`, True at the source's real tokens.
            cache: the pair (keys, values) of the self-attention, see `MultiHeadAttention`.
            position: how many places of the cache are filled.
            segment_ids: int `[batch, T]`, of the self-attention, see `MultiHeadAttention`.
            return_attention: also return the weights of the last attention of the block: to the source
                `[batch, num_heads, T, S]` if there is one, else to itself `[batch, num_heads, T, K]`.
            training: whether dropout is on.

        Returns:
            `[batch, T, hidden_dim]`; with a cache or `return_attention` a tuple (output, cache, weights)
            without what was not asked for.
        """
        if (source is None) != (self.cross_attention is None):
            raise ValueError("source must be given to a block with cross_attention=True, and to no other.")
        h = self._before(self.attention_norm, x)
        h, *extras = _as_tuple(
            self.attention(
                h,
                padding_mask=padding_mask,
                cache=cache,
                position=position,
                segment_ids=segment_ids,
                return_attention=return_attention,
                training=training,
            )
        )
        x = self._after(self.attention_norm, x, h, training)
        if source is not None:
            h = self._before(self.cross_attention_norm, x)
            h, *attention = _as_tuple(
                self.cross_attention(
                    h,
                    source=source,
                    padding_mask=source_mask,
                    return_attention=return_attention,
                    training=training,
                )
            )
            extras[len(extras) - len(attention) :] = attention
            x = self._after(self.cross_attention_norm, x, h, training)
        h = self.feed_forward(self._before(self.feed_forward_norm, x))
        x = self._after(self.feed_forward_norm, x, h, training)
        return (x, *extras) if extras else x

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "cross_attention": self.cross_attention is not None}


def _as_tuple(result):
    return result if isinstance(result, tuple) else (result,)

"""Multi-head attention: self and cross, causal, padded, cached."""

import keras
from keras import ops

from keras_llm.layers.blockwise import blockwise_attention
from keras_llm.layers.dense import Dense
from keras_llm.layers.positions import RotaryEmbedding, same_segment, token_positions

LONG = 1024  # keys from which on scores are worked out block by block; below, one matrix is as fast or faster


@keras.saving.register_keras_serializable(package="keras_llm")
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head attention of Vaswani et al. 2017, section 3.2.2: `softmax(Q K^T / sqrt(d)) V` in each head.

    Args:
        hidden_dim: width of the inputs and of the output.
        num_heads: heads; each is `hidden_dim / num_heads` wide.
        causal: a token sees itself and what stands before it, nothing after.
        dropout: rate at which attention weights are dropped in training.
        use_bias: biases in the four projections.
        rotary: turn queries and keys by their positions (`RotaryEmbedding`); self-attention only.
        kernel_initializer: of the query, key and value projections.
        output_initializer: of the output projection; by default as `kernel_initializer`.
    """

    def __init__(
        self,
        hidden_dim,
        num_heads,
        causal=False,
        dropout=0.0,
        use_bias=True,
        rotary=False,
        kernel_initializer="glorot_uniform",
        output_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(f"hidden_dim={hidden_dim} cannot be shared evenly by num_heads={num_heads}.")
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads
        self.causal = causal
        self.dropout_rate = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.output_initializer = keras.initializers.get(output_initializer or kernel_initializer)

        self.query_projection = self._projection("query", self.kernel_initializer)
        self.key_projection = self._projection("key", self.kernel_initializer)
        self.value_projection = self._projection("value", self.kernel_initializer)
        self.output_projection = self._projection("output", self.output_initializer)
        self.rotary = RotaryEmbedding(self.head_dim, dtype=self.dtype_policy) if rotary else None
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def _projection(self, name, initializer):
        return Dense(
            self.hidden_dim,
            use_bias=self.use_bias,
            kernel_initializer=initializer.clone() if hasattr(initializer, "clone") else initializer,
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape=None):
        """Makes the variables; their shapes follow from the constructor's arguments alone."""
        for projection in (
            self.query_projection,
            self.key_projection,
            self.value_projection,
            self.output_projection,
        ):
            projection.build((None, None, self.hidden_dim))

    def call(
        self,
        x,
        source=None,
        padding_mask=None,
        cache=None,
        position=0,
        segment_ids=None,
        return_attention=False,
        training=None,
    ):
        """Attends from each token of `x` to `x` itself, or to `source`.

        Args:
            x: `[batch, T, hidden_dim]`.
            source: for cross-attention, `[batch, S, hidden_dim]`, or the pair that `project_source` made
                of it once for many decoding steps.
            padding_mask: bool `[batch, K]`, True at the real tokens among the `K` attended places:
                `K = T`, `S`, or the length of the cache.
            cache: for decoding step by step, a pair (keys, values) of `[batch * num_heads, K, head_dim]`
                whose first `position` places are filled. The keys and values of `x` are written behind.
            position: int or scalar tensor, see `cache`.
            segment_ids: int `[batch, T]`, for self-attention without a cache where several texts stand in a
                row: a token sees those of its own segment alone.
            return_attention: also return the attention weights `[batch, num_heads, T, K]`.
            training: whether dropout is on.

        Returns:
            The output `[batch, T, hidden_dim]`; with a cache or `return_attention` a tuple (output, cache,
            attention weights) without what was not asked for.
        """
        query = self._split_heads(self.query_projection(x))  # [batch, num_heads, T, head_dim]
        if source is None:
            key, value = self.project_source(x)  # [batch, num_heads, T, head_dim] each
            if self.rotary:
                # [T], or [batch, T] with a mask or segments
                positions = token_positions(ops.shape(x)[1], position, padding_mask, segment_ids)
                query, key = self.rotary(query, positions), self.rotary(key, positions)
        else:
            key, value = source if isinstance(source, (tuple, list)) else self.project_source(source)
        if cache is not None:
            shape = (-1, ops.shape(x)[1], self.head_dim)
            query, key, value = (ops.reshape(heads, shape) for heads in (query, key, value))
            key = ops.slice_update(cache[0], (0, position, 0), key)  # [batch * num_heads, K, head_dim]
            value = ops.slice_update(cache[1], (0, position, 0), value)
            cache = (key, value)

        query = query * ops.cast(self.head_dim**-0.5, query.dtype)
        keys = key.shape[-2]  # not always a number: Keras also asks for the shapes of unknown lengths
        if cache is None and not return_attention and isinstance(keys, int) and keys >= LONG:
            context = self._attend_in_blocks(query, key, value, padding_mask, segment_ids, training)
            attention = None  # there is no such matrix
        else:
            mask = self._visible(ops.shape(x)[1], ops.shape(key)[-2], position, padding_mask, segment_ids)
            context, attention = self._attend(query, key, value, mask, training)
        context = ops.reshape(context, ops.shape(x))  # [batch, T, hidden_dim]
        output = self.output_projection(context)

        extras = [cache] * (cache is not None) + [attention] * return_attention
        return (output, *extras) if extras else output

    def _attend(self, query, key, value, mask, training):
        """What the heads read, `[batch, T, num_heads, head_dim]`, and the weights `[batch, num_heads, T, K]`.

        Queries, keys and values are `[batch, num_heads, T or K, head_dim]`; or, as a cache has them,
        `[batch * num_heads, T or K, head_dim]`.
        """
        scores = ops.einsum("...th,...kh->...tk", query, key)
        *_, length, keys = shape = ops.shape(scores)  # [batch, num_heads, T, K] or [batch * num_heads, T, K]
        scores = ops.reshape(scores, (-1, self.num_heads, length, keys))
        # The softmax is a sum of many exponentials: always in float32, also in mixed precision.
        scores = ops.cast(scores, "float32")
        if mask is not None:
            scores = ops.where(mask, scores, -1e9)
        attention = ops.cast(ops.softmax(scores), self.compute_dtype)  # [batch, num_heads, T, K]
        dropped = ops.reshape(self.dropout(attention, training=training), shape)
        context = ops.einsum("...tk,...kh->...th", dropped, value)
        context = ops.reshape(context, (-1, self.num_heads, length, self.head_dim))
        return ops.transpose(context, (0, 2, 1, 3)), attention

    def _attend_in_blocks(self, query, key, value, padding_mask, segment_ids, training):
        """What the heads read, `[batch, T, num_heads, head_dim]`, without the weights."""
        dropout = self.dropout_rate if training else 0.0
        seed = ops.cast(self.dropout.seed_generator.next(), "uint32") if dropout else None  # [2]
        context = blockwise_attention(
            query, key, value, padding_mask, self.causal, dropout, seed, segment_ids
        )  # [batch, num_heads, T, head_dim]
        return ops.transpose(context, (0, 2, 1, 3))  # [batch, T, num_heads, head_dim]

    def project_source(self, source):
        """Keys and values, `[batch, num_heads, S, head_dim]` each, of `source` `[batch, S, hidden_dim]`."""
        return self._split_heads(self.key_projection(source)), self._split_heads(
            self.value_projection(source)
        )

    def initial_cache(self, batch_size, length):
        """An empty pair (keys, values), zeros of `[batch * num_heads, length, head_dim]`.

        With an axis for the heads alone XLA on a CPU would copy the whole cache to write one place of it.
        """
        zeros = ops.zeros((batch_size * self.num_heads, length, self.head_dim), self.compute_dtype)
        return zeros, zeros

    def _split_heads(self, x):
        batch, length = ops.shape(x)[:2]
        heads = ops.reshape(x, (batch, length, self.num_heads, self.head_dim))
        return ops.transpose(heads, (0, 2, 1, 3))  # [batch, num_heads, length, head_dim]

    def _visible(self, query_length, key_length, position, padding_mask, segment_ids):
        """Which keys each query may see: bool, broadcastable to `[batch, num_heads, T, K]`, or None for all."""
        mask = None
        if self.causal:
            queries = position + ops.arange(query_length, dtype="int32")[:, None]  # [T, 1]
            mask = ops.arange(key_length, dtype="int32")[None, :] <= queries  # [T, K]
        if padding_mask is not None:
            keys = ops.cast(padding_mask, "bool")[:, None, None, :]  # [batch, 1, 1, K]
            mask = keys if mask is None else ops.logical_and(mask, keys)  # [batch, 1, T or 1, K]
        if segment_ids is not None:
            own = same_segment(segment_ids)[:, None]  # [batch, 1, T, T]
            mask = own if mask is None else ops.logical_and(mask, own)  # [batch, 1, T, T]
        return mask

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "causal": self.causal,
            "dropout": self.dropout_rate,
            "use_bias": self.use_bias,
            "rotary": self.rotary is not None,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
        }
        return {**super().get_config(), **own}

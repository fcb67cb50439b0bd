"""The encoder-decoder Transformer (Vaswani et al. 2017, "Attention Is All You Need")."""

import keras
from keras import ops

from keras_llm.layers import (
    DecoderBlock,
    EncoderBlock,
    LearnedPositionEmbedding,
    SinusoidalPositionEncoding,
    token_positions,
)

PAD_ID = 0  # a source token of this id is padding

# Sizes: "base" is that of Vaswani et al. 2017, table 3; "nano" that of Wu et al. 2021, "Good for Misconceived
# Reasons", table 1, for a translator of 29,000 short sentences.
PRESETS = {
    "nano": {"hidden_dim": 128, "num_layers": 4, "num_heads": 4, "inner_dim": 256, "dropout": 0.3},
    "small": {"hidden_dim": 256, "num_layers": 4, "num_heads": 4, "inner_dim": 1024, "dropout": 0.3},
    "base": {"hidden_dim": 512, "num_layers": 6, "num_heads": 8, "inner_dim": 2048, "dropout": 0.1},
}


@keras.saving.register_keras_serializable(package="keras_llm")
class Transformer(keras.Model):
    """Reads a source text, and gives a score for every possible next token of a target text.

    The encoder reads the source in both directions. Each block of the decoder looks at the target so far, then at
    all of the source. The output layer shares the target embedding's matrix (sections 3.1 to 3.5).

    Args:
        vocabulary_size: number of tokens of the source; and of the target, if they share one embedding.
        target_vocabulary_size: number of tokens of the target, where it has an embedding of its own; by default
            there is one for both.
        context_length: the longest source or target that it can read.
        hidden_dim: width.
        num_layers: blocks of the encoder, and of the decoder.
        num_heads: attention heads a block.
        inner_dim: inner width of the feed-forward layers; by default `4 * hidden_dim`.
        dropout: rate after the embeddings, on attention weights and on each sublayer's output.
        activation: `"relu"` in the paper; see `keras_llm.layers.FeedForward`.
        norm_first: pre-norm blocks with a norm behind the last one; otherwise post-norm, as in the paper.
        positions: `"sinusoidal"` as in the paper, or `"learned"`.
        epsilon: of the layer norms.

    Example:
        model = Transformer.from_preset("nano", vocabulary_size=8000)
        logits = model({"source_ids": np.array([[5, 6, 7]]), "target_ids": np.array([[1, 8]])})  # [1, 2, 8000]
    """

    def __init__(
        self,
        vocabulary_size,
        target_vocabulary_size=None,
        context_length=256,
        hidden_dim=512,
        num_layers=6,
        num_heads=8,
        inner_dim=None,
        dropout=0.1,
        activation="relu",
        norm_first=False,
        positions="sinusoidal",
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if positions not in ("sinusoidal", "learned"):
            raise ValueError(f'positions must be "sinusoidal" or "learned", not {positions!r}.')
        self.vocabulary_size = vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size or vocabulary_size
        self.shared = target_vocabulary_size is None
        self.context_length = context_length
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.inner_dim = inner_dim or 4 * hidden_dim
        self.dropout_rate = dropout
        self.activation = activation
        self.norm_first = norm_first
        self.positions = positions
        self.epsilon = epsilon

        # Layers
        self.source_embedding = self._embedding(self.vocabulary_size, "source_embedding")
        self.target_embedding = self.source_embedding
        if not self.shared:
            self.target_embedding = self._embedding(self.target_vocabulary_size, "target_embedding")
        if positions == "learned":
            self.source_positions = self._learned_positions("source_positions")
            self.target_positions = self._learned_positions("target_positions")
        else:
            fixed = SinusoidalPositionEncoding(hidden_dim, dtype=self.dtype_policy, name="positions")
            self.source_positions = self.target_positions = fixed
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.encoder_blocks = [
            EncoderBlock(**self._block_arguments(), name=f"encoder_block_{i}") for i in range(num_layers)
        ]
        self.decoder_blocks = [
            DecoderBlock(**self._block_arguments(), cross_attention=True, name=f"decoder_block_{i}")
            for i in range(num_layers)
        ]
        self.encoder_norm = self.decoder_norm = None
        if norm_first:  # such blocks leave a sum that nothing has normalised yet
            self.encoder_norm, self.decoder_norm = (
                keras.layers.LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name=name)
                for name in ("encoder_norm", "decoder_norm")
            )
        self.build()

    def _embedding(self, size, name):
        # Multiplied by sqrt(hidden_dim) where it is read (section 3.4), its vectors' components have a scale of 1.
        initializer = keras.initializers.RandomNormal(stddev=self.hidden_dim**-0.5)
        return keras.layers.Embedding(
            size, self.hidden_dim, embeddings_initializer=initializer, dtype=self.dtype_policy, name=name
        )

    def _learned_positions(self, name):
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        return LearnedPositionEmbedding(
            self.context_length, self.hidden_dim, initializer, dtype=self.dtype_policy, name=name
        )

    def _block_arguments(self):
        return {
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "inner_dim": self.inner_dim,
            "dropout": self.dropout_rate,
            "activation": self.activation,
            "norm_first": self.norm_first,
            "epsilon": self.epsilon,
            "dtype": self.dtype_policy,
        }

    def build(self, input_shape=None):
        """Makes the variables, at once: a model can be counted, filled and saved before its first call."""
        self.source_embedding.build()
        if not self.shared:
            self.target_embedding.build()
        for positions in [self.source_positions, self.target_positions]:
            positions.build((None,))
        for block in [*self.encoder_blocks, *self.decoder_blocks]:
            block.build()
        for norm in [self.encoder_norm, self.decoder_norm] if self.norm_first else []:
            norm.build((None, None, self.hidden_dim))

    def call(
        self,
        inputs,
        source=None,
        cache=None,
        position=0,
        return_attention=False,
        training=None,
    ):
        """The forward pass, for training and for each step of writing.

        Args:
            inputs: a dict of `"source_ids"`, int `[batch, S]`, padded with 0, and `"target_ids"`, int
                `[batch, T]`, padded on the right; or, with `source`, the target ids alone.
            source: what `read_source` made of the source, once for many steps.
            cache: from `initial_cache(batch, K)`, or from the step before; `None` to read the target from its
                start.
            position: how many places of the cache are filled.
            return_attention: also return to which source tokens each block's heads look.
            training: whether dropout is on.

        Returns:
            Logits `[batch, T, target_vocabulary_size]`. With a cache or `return_attention` a tuple (logits,
            cache, list of weights `[batch, num_heads, T, S]`) without what was not asked for.

        Raises:
            ValueError: `S` or `T` is beyond `context_length`.
        """
        target_ids = inputs
        if source is None:
            target_ids = inputs["target_ids"]
            source = self.read_source(inputs["source_ids"], training=training)
        positions = position + ops.arange(self._length(target_ids, "target"), dtype="int32")  # [T]
        x = self._embed(self.target_embedding, target_ids, self.target_positions(positions), training)

        new_cache, attention = [], []
        keys_values, source_mask = source
        for i, block in enumerate(self.decoder_blocks):
            result = block(
                x,
                source=keys_values[i],
                source_mask=source_mask,
                cache=None if cache is None else cache[i],
                position=position,
                return_attention=return_attention,
                training=training,
            )
            x, *extras = result if isinstance(result, tuple) else (result,)
            if cache is not None:
                new_cache.append(extras[0])
            if return_attention:
                attention.append(extras[-1])

        if self.norm_first:
            x = self.decoder_norm(x)
        embeddings = ops.cast(
            self.target_embedding.embeddings, x.dtype
        )  # [target_vocabulary_size, hidden_dim]
        logits = ops.matmul(x, ops.transpose(embeddings))  # [batch, T, target_vocabulary_size]

        extras = [new_cache] * (cache is not None) + [attention] * return_attention
        return (logits, *extras) if extras else logits

    def read_source(self, source_ids, training=None):
        """Runs the encoder, and what the decoder's blocks need of its output.

        Args:
            source_ids: int `[batch, S]`, padded with 0 on either side.
            training: whether dropout is on.

        Returns:
            A pair: for each block of the decoder the keys and values, `[batch, num_heads, S, head_dim]` each; and
            the mask, bool `[batch, S]`, True at real tokens.
        """
        length = self._length(source_ids, "source")
        mask = ops.not_equal(source_ids, PAD_ID)  # [batch, S]
        positions = token_positions(length, 0, mask)  # [batch, S]
        x = self._embed(self.source_embedding, source_ids, self.source_positions(positions), training)
        for block in self.encoder_blocks:
            x = block(x, padding_mask=mask, training=training)  # [batch, S, hidden_dim]
        if self.norm_first:
            x = self.encoder_norm(x)
        return [block.cross_attention.project_source(x) for block in self.decoder_blocks], mask

    def initial_cache(self, batch_size, length):
        """An empty cache: for each decoder block a pair (keys, values) `[batch * num_heads, length, head_dim]`."""
        return [block.attention.initial_cache(batch_size, length) for block in self.decoder_blocks]

    def _embed(self, embedding, token_ids, positions, training):
        x = embedding(token_ids) * self.hidden_dim**0.5 + positions  # [batch, T, hidden_dim]
        return self.dropout(x, training=training)

    def _length(self, token_ids, name):
        length = token_ids.shape[1]
        if length is not None and length > self.context_length:
            raise ValueError(f"{length} {name} tokens are more than context_length={self.context_length}.")
        return ops.shape(token_ids)[1]

    # Config

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "vocabulary_size": self.vocabulary_size,
            "target_vocabulary_size": None if self.shared else self.target_vocabulary_size,
            "context_length": self.context_length,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "inner_dim": self.inner_dim,
            "dropout": self.dropout_rate,
            "activation": self.activation,
            "norm_first": self.norm_first,
            "positions": self.positions,
            "epsilon": self.epsilon,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_preset(cls, preset, **arguments):
        """A fresh, untrained model of a named size; `arguments` are the constructor's others, or replace sizes.

        Raises:
            ValueError: an unknown name.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset={preset!r} is not known; choose from {list(PRESETS)}.")
        return cls(**{**PRESETS[preset], **arguments})

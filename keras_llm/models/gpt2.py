"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners")."""

import keras
import numpy as np
from keras import ops

from keras_llm.checkpoints import gpt2 as checkpoint
from keras_llm.checkpoints import keras_hub
from keras_llm.layers import DecoderBlock, LearnedPositionEmbedding, token_positions

# Sizes. "gpt2" to "gpt2-xl" are those of the paper, section 2.3; "nano" learns on a laptop in minutes.
PRESETS = {
    "nano": {
        "vocabulary_size": 2048,
        "context_length": 128,
        "hidden_dim": 128,
        "num_layers": 4,
        "num_heads": 4,
    },
    "mini": {
        "vocabulary_size": 8192,
        "context_length": 256,
        "hidden_dim": 384,
        "num_layers": 6,
        "num_heads": 6,
    },
    "gpt2": {"hidden_dim": 768, "num_layers": 12, "num_heads": 12},
    "gpt2-medium": {"hidden_dim": 1024, "num_layers": 24, "num_heads": 16},
    "gpt2-large": {"hidden_dim": 1280, "num_layers": 36, "num_heads": 20},
    "gpt2-xl": {"hidden_dim": 1600, "num_layers": 48, "num_heads": 25},
}


@keras.saving.register_keras_serializable(package="keras_llm")
class GPT2Model(keras.Model):
    """A causal language model: token ids in, a score for every possible next token out.

    Learned positions, pre-norm blocks, a final norm, and an output layer that shares the token embedding's
    matrix (Radford et al. 2019, section 2.3; the initial scale `0.02 / sqrt(2 * num_layers)` of the layers
    that write into the residual stream as well).

    Args:
        vocabulary_size: number of tokens.
        context_length: the longest sequence it can read.
        hidden_dim: width.
        num_layers: blocks.
        num_heads: attention heads a block.
        inner_dim: inner width of the feed-forward layers; by default `4 * hidden_dim`.
        dropout: rate after the embeddings, on attention weights and on each sublayer's output.
        activation: `"gelu_tanh"` in GPT-2; see `keras_llm.layers.FeedForward`.
        epsilon: of the layer norms.

    Example:
        model = GPT2Model.from_preset("nano")
        logits = model(np.array([[1, 2, 3]]))  # [1, 3, 2048]
    """

    def __init__(
        self,
        vocabulary_size=50257,
        context_length=1024,
        hidden_dim=768,
        num_layers=12,
        num_heads=12,
        inner_dim=None,
        dropout=0.1,
        activation="gelu_tanh",
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.context_length = context_length
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.inner_dim = inner_dim or 4 * hidden_dim
        self.dropout_rate = dropout
        self.activation = activation
        self.epsilon = epsilon

        # Layers
        policy = self.dtype_policy
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=_normal(0.02),
            dtype=policy,
            name="token_embedding",
        )
        self.position_embedding = LearnedPositionEmbedding(
            context_length, hidden_dim, initializer=_normal(0.01), dtype=policy, name="position_embedding"
        )
        self.dropout = keras.layers.Dropout(dropout, dtype=policy)
        self.blocks = [
            DecoderBlock(
                hidden_dim,
                num_heads,
                self.inner_dim,
                dropout=dropout,
                activation=activation,
                norm_first=True,
                epsilon=epsilon,
                kernel_initializer=_normal(0.02),
                output_initializer=_normal(0.02 / (2 * num_layers) ** 0.5),
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        self.final_norm = keras.layers.LayerNormalization(epsilon=epsilon, dtype=policy, name="final_norm")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables, at once: a model can be counted, filled and saved before its first call."""
        self.token_embedding.build()
        self.position_embedding.build()
        for block in self.blocks:
            block.build()
        self.final_norm.build((None, None, self.hidden_dim))

    def call(
        self,
        token_ids,
        padding_mask=None,
        cache=None,
        position=0,
        logits_at=None,
        return_attention=False,
        training=None,
    ):
        """The forward pass, for training, for reading a prompt and for each step of writing.

        Args:
            token_ids: int `[batch, T]`, below `vocabulary_size`. Or, where several texts stand in a row, a dict of
                `token_ids` and `segment_ids`, int `[batch, T]` each: a token sees the tokens of its own segment
                alone, and positions begin anew in each, so that every text is read as if it stood alone. Not
                together with a padding mask or a cache.
            padding_mask: bool `[batch, T]` (`[batch, K]` over a cache), True at real tokens; padding may
                stand on either side and changes nothing at the real tokens.
            cache: from `initial_cache(batch, K)`, or from the step before; `None` to read from the start.
            position: how many places of the cache are filled.
            logits_at: int or scalar int tensor, the place of the one token among the `T` whose logits are wanted;
                `None` for those of all.
            return_attention: also return each block's attention weights.
            training: whether dropout is on.

        Returns:
            Logits `[batch, T, vocabulary_size]` (`[batch, 1, ...]` with `logits_at`). With a cache or
            `return_attention` a tuple (logits, cache, list of weights `[batch, num_heads, T, K]`) without
            what was not asked for.

        Raises:
            ValueError: `T` is beyond `context_length`, `logits_at` is not one of `T` places, or segments come with a
                padding mask or a cache.
        """
        segment_ids = None
        if isinstance(token_ids, dict):
            token_ids, segment_ids = token_ids["token_ids"], token_ids.get("segment_ids")
            if segment_ids is not None and (padding_mask is not None or cache is not None):
                raise ValueError("segment_ids cannot be given with a padding_mask or a cache.")
        length = token_ids.shape[1]
        if length is not None and length > self.context_length:
            raise ValueError(f"{length} tokens are more than context_length={self.context_length}.")
        if isinstance(logits_at, int) and length is not None and not 0 <= logits_at < length:
            raise ValueError(f"logits_at={logits_at} is not one of {length} tokens, which count from 0.")
        # [T], or [batch, T] with a mask or segments
        positions = token_positions(ops.shape(token_ids)[1], position, padding_mask, segment_ids)
        x = self.token_embedding(token_ids) + self.position_embedding(positions)  # [batch, T, hidden_dim]
        x = self.dropout(x, training=training)

        new_cache, attention = [], []
        for i, block in enumerate(self.blocks):
            result = block(
                x,
                padding_mask=padding_mask,
                cache=None if cache is None else cache[i],
                position=position,
                segment_ids=segment_ids,
                return_attention=return_attention,
                training=training,
            )
            x, *extras = result if isinstance(result, tuple) else (result,)
            if cache is not None:
                new_cache.append(extras[0])
            if return_attention:
                attention.append(extras[-1])

        if logits_at is not None:
            x = ops.slice(x, (0, logits_at, 0), (ops.shape(x)[0], 1, self.hidden_dim))
        x = self.final_norm(x)
        embeddings = ops.cast(self.token_embedding.embeddings, x.dtype)  # [vocabulary_size, hidden_dim]
        logits = self._logits(x, embeddings)

        extras = [new_cache] * (cache is not None) + [attention] * return_attention
        return (logits, *extras) if extras else logits

    def _logits(self, x, embeddings):
        """`[batch, T, hidden_dim]` and the embeddings `[vocabulary_size, hidden_dim]` -> `[batch, T, vocabulary_size]`.

        One token of several texts is multiplied the other way round: XLA on a CPU then reads the large matrix faster.
        """
        if x.shape[1] == 1 and x.shape[0] != 1:
            rows = ops.reshape(x, (-1, self.hidden_dim))  # [batch, hidden_dim]
            logits = ops.matmul(embeddings, ops.transpose(rows))  # [vocabulary_size, batch]
            return ops.transpose(logits)[:, None]  # [batch, 1, vocabulary_size]
        return ops.matmul(x, ops.transpose(embeddings))

    def initial_cache(self, batch_size, length):
        """An empty cache: for each block a pair (keys, values) `[batch * num_heads, length, head_dim]`."""
        return [self.blocks[0].attention.initial_cache(batch_size, length)] * len(self.blocks)

    def with_vocabulary_size(self, vocabulary_size):
        """The same model with more tokens: a new model, whose new embeddings lie about the mean of the old ones.

        They are drawn with the old ones' spread, always the same draws, so that they depend on this model alone.

        Args:
            vocabulary_size: not less than now.
        """
        missing = vocabulary_size - self.vocabulary_size
        if missing < 0:
            raise ValueError(f"vocabulary_size={vocabulary_size} is less than {self.vocabulary_size}.")
        grown = type(self)(**{**self.get_config(), "vocabulary_size": vocabulary_size})
        old, *others = self.get_weights()  # the token embedding is the first
        noise = np.random.default_rng(0).normal(size=(missing, self.hidden_dim)) * old.std(axis=0)
        new = old.mean(axis=0) + noise  # [missing, hidden_dim]
        grown.set_weights([np.concatenate([old, new.astype(old.dtype)]), *others])
        return grown

    # Config

    def get_config(self):
        """The constructor's arguments."""
        own = {
            "vocabulary_size": self.vocabulary_size,
            "context_length": self.context_length,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "inner_dim": self.inner_dim,
            "dropout": self.dropout_rate,
            "activation": self.activation,
            "epsilon": self.epsilon,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_preset(cls, preset, **overrides):
        """A fresh, untrained model of a named size; `overrides` replace single sizes.

        Raises:
            ValueError: an unknown name.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset={preset!r} is not known; choose from {list(PRESETS)}.")
        return cls(**{**PRESETS[preset], **overrides})

    @classmethod
    def from_pretrained(cls, path_or_name, **overrides):
        """Reads a Hugging Face checkpoint, `GPT2LMHeadModel`'s `config.json` and `model.safetensors`.

        Args:
            path_or_name: a folder, or a name on the hub such as `"openai-community/gpt2"`.
            overrides: constructor arguments to replace, such as `dropout=0.0` or `dtype="bfloat16"`.

        Raises:
            FileNotFoundError: no such folder or name, or a file is missing in it.
            ValueError: a tensor is missing or misshapen, a file is damaged, the variant is not GPT-2.
        """
        return checkpoint.load(cls, path_or_name, **overrides)

    def save_pretrained(self, folder):
        """Writes `config.json` and `model.safetensors` as `transformers` reads them."""
        checkpoint.save(self, folder)

    @classmethod
    def from_keras_hub(cls, backbone, **overrides):
        """Makes the model of a `keras_hub.models.GPT2Backbone`; the output layer is tied, as there.

        Args:
            backbone: the backbone, or a name or folder for KerasHub's `Backbone.from_preset`.
            overrides: constructor arguments to replace, such as `dropout=0.0`.

        Raises:
            ImportError: KerasHub is not installed.
            ValueError: another class of backbone, a quantized one, or an override that does not fit its
                weights; or KerasHub does not find the preset.
        """
        return keras_hub.load(cls, "GPT2Backbone", backbone, **overrides)

    def to_keras_hub(self):
        """Makes a `keras_hub.models.GPT2Backbone` with this model's weights.

        It takes a dict of `"token_ids"` and `"padding_mask"`, int `[batch, T]` each, padded on the right, and
        gives `[batch, T, hidden_dim]`: this model's logits before the product with the token embedding.

        Raises:
            ImportError: KerasHub is not installed.
            ValueError: KerasHub cannot express the model: its GPT-2 always has `activation="gelu_tanh"` and
                `epsilon=1e-5`.
        """
        return keras_hub.export(self, "GPT2Backbone")


def _normal(stddev):
    return keras.initializers.RandomNormal(stddev=stddev)

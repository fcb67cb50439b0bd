"""BERT (Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers") and its task heads.

Every model here takes the same `inputs`: token ids, int `[batch, T]`, or a dict of

- `"token_ids"`: int `[batch, T]`;
- `"segment_ids"`: int `[batch, T]`, 0 for the first text and 1 for the second of a pair; all 0 if not given;
- `"padding_mask"`: bool `[batch, T]`, True at real tokens; if not given, tokens of id 0, `[PAD]`, are padding.
"""

import keras
from keras import ops

from keras_llm.checkpoints import bert as checkpoint
from keras_llm.checkpoints import keras_hub
from keras_llm.layers import EncoderBlock, LearnedPositionEmbedding
from keras_llm.layers.blocks import ACTIVATIONS

PAD_ID = 0  # of [PAD] in every BERT vocabulary

# Sizes: base and large of Devlin et al. 2019, section 3; the small ones of Turc et al. 2019; MiniLM of Wang et
# al. 2020 as sentence-transformers use it. The narrow ones begin with larger weights, about 1 / sqrt(hidden_dim): with
# 0.02, which suits a width of 768, little of what attention has to say would be left in them.
PRESETS = {
    "tiny": {"hidden_dim": 128, "num_layers": 2, "num_heads": 2, "initializer_range": 0.08},
    "mini": {"hidden_dim": 256, "num_layers": 4, "num_heads": 4, "initializer_range": 0.06},
    "small": {"hidden_dim": 512, "num_layers": 4, "num_heads": 8, "initializer_range": 0.04},
    "medium": {"hidden_dim": 512, "num_layers": 8, "num_heads": 8, "initializer_range": 0.04},
    "bert-base-uncased": {"hidden_dim": 768, "num_layers": 12, "num_heads": 12},
    "bert-large-uncased": {"hidden_dim": 1024, "num_layers": 24, "num_heads": 16},
    "bert-base-chinese": {
        "vocabulary_size": 21128,
        "hidden_dim": 768,
        "num_layers": 12,
        "num_heads": 12,
    },
    "minilm-l6": {"hidden_dim": 384, "num_layers": 6, "num_heads": 12},
}


@keras.saving.register_keras_serializable(package="keras_llm")
class BertEncoder(keras.Model):
    """Reads a text in both directions and gives a vector for each token, and one for all of it.

    The sum of token, position and segment embeddings, normalised; post-norm blocks; and the pooler, a dense
    layer with tanh over the first token's vector (Devlin et al. 2019, section 3 and figure 2).

    Args:
        vocabulary_size: number of tokens.
        context_length: the longest sequence it can read.
        hidden_dim: width.
        num_layers: blocks.
        num_heads: attention heads a block.
        inner_dim: inner width of the feed-forward layers; by default `4 * hidden_dim`.
        num_segments: kinds of segments, 2 in BERT.
        dropout: rate after the embeddings, on attention weights and on each sublayer's output.
        activation: `"gelu"` (exact) in BERT, or `"gelu_tanh"`; see `keras_llm.layers.FeedForward`.
        epsilon: of the layer norms.
        pooler: whether there is a pooler; tasks on single tokens need none.
        initializer_range: standard deviation of the random weights to begin with.

    Example:
        encoder = BertEncoder.from_preset("tiny")
        outputs = encoder(np.array([[101, 7592, 102, 0]]))
        outputs["sequence_output"]  # [1, 4, 128]
        outputs["pooled_output"]  # [1, 128]
    """

    architecture = "BertModel"

    def __init__(
        self,
        vocabulary_size=30522,
        context_length=512,
        hidden_dim=768,
        num_layers=12,
        num_heads=12,
        inner_dim=None,
        num_segments=2,
        dropout=0.1,
        activation="gelu",
        epsilon=1e-12,
        pooler=True,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.context_length = context_length
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.inner_dim = inner_dim or 4 * hidden_dim
        self.num_segments = num_segments
        self.dropout_rate = dropout
        self.activation = activation
        self.epsilon = epsilon
        self.initializer_range = initializer_range

        # Layers
        policy = self.dtype_policy
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=_normal(initializer_range),
            dtype=policy,
            name="token_embedding",
        )
        self.position_embedding = LearnedPositionEmbedding(
            context_length,
            hidden_dim,
            initializer=_normal(initializer_range),
            dtype=policy,
            name="position_embedding",
        )
        self.segment_embedding = keras.layers.Embedding(
            num_segments,
            hidden_dim,
            embeddings_initializer=_normal(initializer_range),
            dtype=policy,
            name="segment_embedding",
        )
        self.embedding_norm = keras.layers.LayerNormalization(
            epsilon=epsilon, dtype=policy, name="embedding_norm"
        )
        self.dropout = keras.layers.Dropout(dropout, dtype=policy)
        self.blocks = [
            EncoderBlock(
                hidden_dim,
                num_heads,
                self.inner_dim,
                dropout=dropout,
                activation=activation,
                epsilon=epsilon,
                kernel_initializer=_normal(initializer_range),
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        self.pooler = None
        if pooler:
            self.pooler = _dense(hidden_dim, initializer_range, policy, "pooler", activation="tanh")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables, at once: a model can be counted, filled and saved before its first call."""
        self.token_embedding.build()
        self.position_embedding.build()
        self.segment_embedding.build()
        self.embedding_norm.build((None, None, self.hidden_dim))
        for block in self.blocks:
            block.build()
        if self.pooler is not None:
            self.pooler.build((None, self.hidden_dim))

    def call(self, inputs, return_attention=False, training=None):
        """The forward pass.

        Args:
            inputs: token ids, or a dict; see the top of this module.
            return_attention: also return each block's attention weights.
            training: whether dropout is on.

        Returns:
            A dict: `"sequence_output"` `[batch, T, hidden_dim]`; with a pooler `"pooled_output"`
            `[batch, hidden_dim]`; with `return_attention` `"attention"`, for each block the weights
            `[batch, num_heads, T, T]`.

        Raises:
            ValueError: `T` is beyond `context_length`, or `inputs` has an unknown key.
        """
        token_ids, segment_ids, padding_mask = _unpack(inputs)
        length = token_ids.shape[1]
        if length is not None and length > self.context_length:
            raise ValueError(f"{length} tokens are more than context_length={self.context_length}.")
        positions = ops.arange(ops.shape(token_ids)[1], dtype="int32")  # [T]
        x = self.token_embedding(token_ids) + self.position_embedding(positions)  # [batch, T, hidden_dim]
        x = x + self.segment_embedding(segment_ids)
        x = self.dropout(self.embedding_norm(x), training=training)

        attention = []
        for block in self.blocks:
            x = block(x, padding_mask=padding_mask, return_attention=return_attention, training=training)
            if return_attention:
                x, weights = x
                attention.append(weights)

        outputs = {"sequence_output": x}
        if self.pooler is not None:
            outputs["pooled_output"] = self.pooler(x[:, 0])  # [batch, hidden_dim], from [CLS]
        if return_attention:
            outputs["attention"] = attention
        return outputs

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
            "num_segments": self.num_segments,
            "dropout": self.dropout_rate,
            "activation": self.activation,
            "epsilon": self.epsilon,
            "pooler": self.pooler is not None,
            "initializer_range": self.initializer_range,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_preset(cls, preset, **overrides):
        """A fresh, untrained encoder of a named size; `overrides` replace single sizes.

        Raises:
            ValueError: an unknown name.
        """
        if preset not in PRESETS:
            raise ValueError(f"preset={preset!r} is not known; choose from {list(PRESETS)}.")
        return cls(**{**PRESETS[preset], **overrides})

    @classmethod
    def from_pretrained(cls, path_or_name, **overrides):
        """Reads the encoder of any BERT checkpoint; it has a pooler if the checkpoint has one.

        Args:
            path_or_name: a folder with `config.json` and `model.safetensors` (or its shards), as Hugging Face
                writes them; or with `bert_config.json` and `bert_model.ckpt`, as google-research/bert did;
                or a name on the Hugging Face hub.
            overrides: constructor arguments to replace, such as `dropout=0.0` or `dtype="bfloat16"`.

        Raises:
            FileNotFoundError: no such folder or name, or a file is missing in it.
            ValueError: a tensor is missing or misshapen, a file is damaged, the variant is not BERT.
        """
        return checkpoint.load_encoder(cls, path_or_name, **overrides)

    def save_pretrained(self, folder):
        """Writes `config.json` and `model.safetensors` as `transformers.BertModel` reads them."""
        checkpoint.save(self, folder)

    @classmethod
    def from_keras_hub(cls, backbone, **overrides):
        """Makes the encoder that computes what a `keras_hub.models.BertBackbone` computes.

        Args:
            backbone: the backbone, or a name or folder for KerasHub's `Backbone.from_preset`.
            overrides: constructor arguments to replace, such as `dropout=0.0` or `pooler=False`.

        Raises:
            ImportError: KerasHub is not installed.
            ValueError: another class of backbone, a quantized one, or an override that does not fit its
                weights; or KerasHub does not find the preset.
        """
        return keras_hub.load(cls, "BertBackbone", backbone, **overrides)

    def to_keras_hub(self):
        """Makes a `keras_hub.models.BertBackbone` that computes what this encoder computes.

        It takes a dict of `"token_ids"`, `"segment_ids"` and `"padding_mask"`, int `[batch, T]` each, and
        gives `"sequence_output"` `[batch, T, hidden_dim]` and `"pooled_output"` `[batch, hidden_dim]`.

        Raises:
            ImportError: KerasHub is not installed.
            ValueError: KerasHub cannot express the encoder: its BERT always has the tanh formula of gelu, an
                epsilon of 1e-12 and a pooler. A published BERT, made for the exact gelu, comes near with
                `BertEncoder.from_pretrained(path, activation="gelu_tanh")`.
        """
        return keras_hub.export(self, "BertBackbone")


class _BertModel(keras.Model):
    """What the task models share: an encoder, a config and checkpoints."""

    needs_pooler = False

    def __init__(self, encoder, **kwargs):
        kwargs.setdefault("dtype", encoder.dtype_policy)
        super().__init__(**kwargs)
        self.encoder = encoder
        self.dropout = keras.layers.Dropout(encoder.dropout_rate, dtype=self.dtype_policy)

    def _require_pooler(self):
        if self.encoder.pooler is None:
            raise ValueError(f"{type(self).__name__} needs an encoder with pooler=True.")

    def _dense(self, units, name, activation=None):
        return _dense(units, self.encoder.initializer_range, self.dtype_policy, name, activation)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "encoder": keras.saving.serialize_keras_object(self.encoder)}

    @classmethod
    def from_config(cls, config):
        """Makes the model, its encoder included."""
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})

    @classmethod
    def from_pretrained(cls, path_or_name, head="checkpoint", **overrides):
        """Reads a checkpoint; see `BertEncoder.from_pretrained` for where from.

        Args:
            path_or_name: see there.
            head: `"checkpoint"`: the task's own layers come from the checkpoint too, and it is an error if
                it lacks them. `"new"`: they are drawn at random, to be trained (with them the pooler, where
                the task needs one and the checkpoint has none).
            overrides: constructor arguments of the encoder and of this model to replace, such as
                `dropout=0.0` or `num_classes=5`.

        Raises:
            FileNotFoundError, ValueError: as there; the checkpoint has no head for this task.
        """
        return checkpoint.load_model(cls, BertEncoder, path_or_name, head, **overrides)

    def save_pretrained(self, folder):
        """Writes `config.json` and `model.safetensors` as `transformers` reads them."""
        checkpoint.save(self, folder)


@keras.saving.register_keras_serializable(package="keras_llm")
class BertMaskedLM(_BertModel):
    """Scores of all tokens at each place: what BERT is pretrained with (Devlin et al. 2019, section 3.1).

    A dense layer, a norm, and an output layer that shares the token embedding's matrix.

    Args:
        encoder: a `BertEncoder`.
    """

    architecture = "BertForMaskedLM"

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        policy = self.dtype_policy
        self.transform = self._dense(encoder.hidden_dim, "transform", activation=encoder.activation)
        self.transform_norm = keras.layers.LayerNormalization(
            epsilon=encoder.epsilon, dtype=policy, name="transform_norm"
        )
        self.build()

    def build(self, input_shape=None):
        """Makes the variables."""
        self.transform.build((None, None, self.encoder.hidden_dim))
        self.transform_norm.build((None, None, self.encoder.hidden_dim))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.encoder.vocabulary_size,), initializer="zeros"
        )

    def call(self, inputs, training=None):
        """Reads `inputs`; they may also hold `"masked_positions"`, int `[batch, M]`, where scores are wanted.

        Returns:
            Logits `[batch, M, vocabulary_size]`, or without `"masked_positions"` `[batch, T, vocabulary_size]`.
        """
        positions = None
        if isinstance(inputs, dict):
            inputs = dict(inputs)
            positions = inputs.pop("masked_positions", None)
        x = self.encoder(inputs, training=training)["sequence_output"]  # [batch, T, hidden_dim]
        if positions is not None:
            x = ops.take_along_axis(x, positions[:, :, None], axis=1)  # [batch, M, hidden_dim]
        x = self.transform_norm(self.transform(x))
        embeddings = ops.cast(
            self.encoder.token_embedding.embeddings, x.dtype
        )  # [vocabulary_size, hidden_dim]
        return ops.matmul(x, ops.transpose(embeddings)) + ops.cast(self.output_bias, x.dtype)


@keras.saving.register_keras_serializable(package="keras_llm")
class BertNextSentence(_BertModel):
    """Whether the second text follows the first: logits `[batch, 2]`, class 0 for yes (section 3.1).

    Args:
        encoder: a `BertEncoder` with a pooler.
    """

    architecture = "BertForNextSentencePrediction"
    needs_pooler = True

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        self._require_pooler()
        self.output_layer = self._dense(2, "output_layer")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables."""
        self.output_layer.build((None, self.encoder.hidden_dim))

    def call(self, inputs, training=None):
        """Reads `inputs` (pairs); returns logits `[batch, 2]`."""
        return self.output_layer(self.encoder(inputs, training=training)["pooled_output"])


class _Classes(_BertModel):
    """A head with a dense layer to `num_classes`, whose classes have names."""

    def __init__(self, encoder, num_classes=2, labels=None, **kwargs):
        super().__init__(encoder, **kwargs)
        if labels is not None and len(labels) != num_classes:
            raise ValueError(f"labels has {len(labels)} names for num_classes={num_classes}.")
        self.num_classes = num_classes
        self.labels = list(labels or (f"LABEL_{i}" for i in range(num_classes)))
        self.output_layer = self._dense(num_classes, "output_layer")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables."""
        self.output_layer.build((None, None, self.encoder.hidden_dim))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes, "labels": self.labels}


@keras.saving.register_keras_serializable(package="keras_llm")
class BertClassifier(_Classes):
    """A label for a text or a pair of texts; with one class a number (regression) (section 4.1).

    Args:
        encoder: a `BertEncoder` with a pooler.
        num_classes: classes; 1 for regression, trained with `keras_llm.SquaredError`.
        labels: names of the classes, a list of strings; kept in checkpoints.
        pooling: `"cls"`, the pooler over the first token's vector, as BERT has it; or `"mean"` of the real tokens'
            vectors, which suits an encoder that was trained so, such as those of sentence-transformers, and needs
            no pooler. `transformers` has no BERT with `"mean"`.
    """

    architecture = "BertForSequenceClassification"
    needs_pooler = True  # unless pooling="mean"

    def __init__(self, encoder, num_classes=2, labels=None, pooling="cls", **kwargs):
        super().__init__(encoder, num_classes, labels, **kwargs)
        self.pooling = _known_pooling(pooling)
        if pooling == "cls":
            self._require_pooler()

    def call(self, inputs, training=None):
        """Reads `inputs`; returns logits `[batch, num_classes]`."""
        outputs = self.encoder(inputs, training=training)
        if self.pooling == "cls":
            x = outputs["pooled_output"]  # [batch, hidden_dim]
        else:
            x = _mean_of_tokens(outputs["sequence_output"], inputs)
        return self.output_layer(self.dropout(x, training=training))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pooling": self.pooling}


@keras.saving.register_keras_serializable(package="keras_llm")
class BertTokenClassifier(_Classes):
    """A label for each token, as for names in text (section 5.3).

    Args:
        encoder: a `BertEncoder`.
        num_classes: classes.
        labels: names of the classes, a list of strings; kept in checkpoints.
    """

    architecture = "BertForTokenClassification"

    def call(self, inputs, training=None):
        """Reads `inputs`; returns logits `[batch, T, num_classes]`."""
        x = self.encoder(inputs, training=training)["sequence_output"]  # [batch, T, hidden_dim]
        return self.output_layer(self.dropout(x, training=training))


@keras.saving.register_keras_serializable(package="keras_llm")
class BertQuestionAnswerer(_BertModel):
    """Where in a text the answer to a question begins and ends (section 4.2).

    Args:
        encoder: a `BertEncoder`.
    """

    architecture = "BertForQuestionAnswering"

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        self.output_layer = self._dense(2, "output_layer")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables."""
        self.output_layer.build((None, None, self.encoder.hidden_dim))

    def call(self, inputs, training=None):
        """Reads `inputs`, question and text as a pair.

        Returns:
            Logits `[batch, 2, T]`: of each place to be the answer's first token, and its last. Labels for
            `TokenCrossEntropy` are the two places, int `[batch, 2]`.
        """
        x = self.encoder(inputs, training=training)["sequence_output"]  # [batch, T, hidden_dim]
        return ops.transpose(self.output_layer(x), (0, 2, 1))  # [batch, 2, T]


@keras.saving.register_keras_serializable(package="keras_llm")
class BertSentenceEmbedder(_BertModel):
    """One vector a text, of length 1, so that the product of two vectors is their cosine.

    Reimers and Gurevych 2019, "Sentence-BERT", section 3.

    Args:
        encoder: a `BertEncoder`.
        pooling: `"mean"` of the real tokens' vectors, or `"cls"`, the first token's.
    """

    architecture = "BertModel"

    def __init__(self, encoder, pooling="mean", **kwargs):
        super().__init__(encoder, **kwargs)
        self.pooling = _known_pooling(pooling)
        self.built = True  # no variables of its own

    def call(self, inputs, training=None):
        """Reads `inputs`; returns float32 vectors `[batch, hidden_dim]`."""
        x = self.encoder(inputs, training=training)["sequence_output"]  # [batch, T, hidden_dim]
        if self.pooling == "cls":
            vectors = ops.cast(x[:, 0], "float32")  # [batch, hidden_dim]
        else:
            vectors = _mean_of_tokens(x, inputs)
        squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
        return vectors / ops.sqrt(ops.maximum(squares, 1e-24))  # no row of padding has a gradient of 0 / 0

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pooling": self.pooling}


@keras.saving.register_keras_serializable(package="keras_llm")
class BertPairRanker(keras.Model):
    """Scores of each first text of a batch with each second one, to train an embedder on pairs that belong together.

    The second texts of the other rows are what a first text must be told from (Henderson et al. 2017, "Efficient
    Natural Language Response Suggestion for Smart Reply", section 4); the cosine is scaled by 20, as
    sentence-transformers does.

    Args:
        embedder: a `BertSentenceEmbedder`.
    """

    SCALE = 20.0

    def __init__(self, embedder, **kwargs):
        super().__init__(**kwargs)
        self.embedder = embedder
        self.built = True  # no variables of its own

    def call(self, inputs, training=None):
        """Reads a dict of the texts of pairs: `"token_ids"` and `"pair_ids"`, int `[batch, T]`.

        Returns:
            Logits `[batch, batch]`, float32: row by first text, column by second text. The right ones are on the
            diagonal; elsewhere a text that equals the row's own second text, or is all padding, has -1e9.
        """
        pair_ids = ops.convert_to_tensor(inputs["pair_ids"])
        first = self.embedder(inputs["token_ids"], training=training)  # [batch, hidden_dim]
        second = self.embedder(pair_ids, training=training)
        logits = self.SCALE * ops.matmul(first, ops.transpose(second))  # [batch, batch]

        rows = ops.arange(ops.shape(pair_ids)[0])
        other = ops.not_equal(rows[:, None], rows[None, :])
        same = ops.all(ops.equal(pair_ids[:, None, :], pair_ids[None, :, :]), axis=-1)
        empty = ops.all(ops.equal(pair_ids, PAD_ID), axis=-1)[None, :]
        return ops.where(ops.logical_and(other, ops.logical_or(same, empty)), -1e9, logits)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "embedder": keras.saving.serialize_keras_object(self.embedder)}

    @classmethod
    def from_config(cls, config):
        """Makes the model, its embedder included."""
        return cls(**{**config, "embedder": keras.saving.deserialize_keras_object(config["embedder"])})

    def save_pretrained(self, folder):
        """Writes the embedder; nothing else has weights."""
        self.embedder.save_pretrained(folder)


def _unpack(inputs):
    """Token ids, segment ids and padding mask, with what stands for those not given."""
    inputs = inputs if isinstance(inputs, dict) else {"token_ids": inputs}
    unknown = set(inputs) - {"token_ids", "segment_ids", "padding_mask"}
    if unknown or "token_ids" not in inputs:
        raise ValueError(
            f"inputs must have token_ids, and may have segment_ids and padding_mask; got {sorted(inputs)}."
        )
    token_ids = ops.convert_to_tensor(inputs["token_ids"])
    segment_ids, padding_mask = inputs.get("segment_ids"), inputs.get("padding_mask")
    if segment_ids is None:
        segment_ids = ops.zeros_like(token_ids)
    if padding_mask is None:
        padding_mask = ops.not_equal(token_ids, PAD_ID)
    return token_ids, segment_ids, padding_mask


def _known_pooling(pooling):
    if pooling not in ("mean", "cls"):
        raise ValueError(f'pooling must be "mean" or "cls", not {pooling!r}.')
    return pooling


def _mean_of_tokens(x, inputs):
    """The mean of the real tokens' vectors `[batch, T, hidden_dim]`: float32 `[batch, hidden_dim]`."""
    weights = ops.cast(_unpack(inputs)[2], "float32")[:, :, None]  # [batch, T, 1]
    return ops.sum(ops.cast(x, "float32") * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def _dense(units, initializer_range, policy, name, activation=None):
    return keras.layers.Dense(
        units,
        activation=ACTIVATIONS.get(activation, activation),
        kernel_initializer=_normal(initializer_range),
        dtype=policy,
        name=name,
    )


def _normal(initializer_range):
    return keras.initializers.TruncatedNormal(stddev=initializer_range)

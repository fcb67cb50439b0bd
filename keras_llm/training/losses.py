"""The loss and the metrics of token prediction: means over real tokens, never over padding."""

import keras
from keras import ops

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.training.distribution import refuse_split, sum_over_replicas


def token_losses(labels, logits, label_smoothing=0.0):
    """Cross-entropy of each token, in nats, and which tokens count.

    Args:
        labels: int `[batch, T]`, the right token ids, `IGNORED_LABEL` (-100) where nothing is asked.
        logits: `[batch, T, vocabulary_size]`; computed on in float32.
        label_smoothing: the share of a label's probability that is spread evenly over all tokens (Szegedy et al.
            2016, section 7).

    Returns:
        Two float32 tensors `[batch, T]`: the losses, 0 where not counted, and the weights, 1 or 0.
    """
    counted = ops.not_equal(labels, IGNORED_LABEL)  # [batch, T]
    labels = ops.where(counted, labels, 0)
    logits = ops.cast(logits, "float32")
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)  # [batch, T]
    if label_smoothing:
        of_all = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)  # [batch, T], the mean of -log p
        losses = (1 - label_smoothing) * losses + label_smoothing * of_all
    weights = ops.cast(counted, "float32")
    return losses * weights, weights


class MeanLoss(keras.losses.Loss):
    """A mean over all that counts in a batch, also where a step sees the batch in parts: on several replicas of
    `tf.distribute`, or in micro-batches (`accumulation`).

    Subclasses say what is added up, `total`, and what it is divided by, `count`.
    """

    rows_together = 1  # rows in a row that a part of a batch must not separate

    def __init__(self, name, **kwargs):
        kwargs.pop("reduction", None)  # the mean below is the only one
        super().__init__(name=name, reduction="sum", **kwargs)

    def call(self, y_true, y_pred):
        """Labels and outputs -> a scalar. Each of several replicas gives its share: they add up to the mean."""
        (count,) = sum_over_replicas([self.count(y_true)])
        return self.total(y_true, y_pred) / ops.maximum(count, 1.0)

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="keras_llm")
class TokenCrossEntropy(MeanLoss):
    """Mean cross-entropy over the tokens whose label is not -100, in nats a token.

    8 real tokens give the same loss whether they are padded to 8, 16 or 64.

    Args:
        label_smoothing: see `token_losses`; Vaswani et al. 2017, section 5.4, take 0.1.
    """

    def __init__(self, label_smoothing=0.0, name="token_cross_entropy", **kwargs):
        super().__init__(name, **kwargs)
        self.label_smoothing = label_smoothing

    def total(self, y_true, y_pred):
        """Labels int `[batch, T]` and logits `[batch, T, vocabulary_size]` -> the sum of the losses, a scalar."""
        losses, _ = token_losses(ops.cast(y_true, "int32"), y_pred, self.label_smoothing)
        return ops.sum(losses)

    def count(self, y_true):
        """How many tokens count: a float32 scalar."""
        return ops.sum(ops.cast(ops.not_equal(y_true, IGNORED_LABEL), "float32"))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="keras_llm")
class RDropCrossEntropy(TokenCrossEntropy):
    """Cross-entropy of rows that stand in a batch twice, and how far dropout makes the two differ.

    Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks", section 2: beside the mean cross-entropy of
    both, the mean of the two Kullback-Leibler divergences between them, times a weight. Batches come from
    `PaddedBatches(..., copies=2)`.

    Args:
        weight: of the divergence; half of the paper's alpha, whose cross-entropy is the sum over both.
    """

    rows_together = 2

    def __init__(self, weight=1.0, name="r_drop_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.weight = weight

    def total(self, y_true, y_pred):
        """Labels int `[2 n, ...]` and logits `[2 n, ..., classes]`, where rows `2 i` and `2 i + 1` are twins."""
        y_true = ops.cast(y_true, "int32")
        log_p = ops.log_softmax(ops.cast(y_pred, "float32"))
        pairs = ops.reshape(log_p, (-1, 2, *log_p.shape[1:]))  # [n, 2, ..., classes]
        first, second = pairs[:, 0], pairs[:, 1]
        apart = ops.sum((ops.exp(first) - ops.exp(second)) * (first - second), axis=-1) / 2  # [n, ...]
        counted = ops.cast(ops.not_equal(y_true[::2], IGNORED_LABEL), "float32")
        divergence = 2 * ops.sum(apart * counted)  # a pair counts twice, as each of its rows counts
        return super().total(y_true, y_pred) + self.weight * divergence

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "weight": self.weight}


@keras.saving.register_keras_serializable(package="keras_llm")
class PairCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy of finding each row's own column: what `BertPairRanker` is trained with.

    Each row is told from all others of its batch, so it is no sum over parts of the batch.

    Raises:
        ValueError: under several replicas, each of which would tell a row from the others of its own part only.
    """

    def __init__(self, name="pair_cross_entropy", **kwargs):
        refuse_split("A loss that tells each row from all others of its batch")
        kwargs.pop("reduction", None)  # the mean below is the only one
        super().__init__(name=name, reduction="sum", **kwargs)

    def call(self, y_true, y_pred):
        """Labels int `[batch]`, -100 at rows that do not count and 0 at all others, logits `[batch, batch]`."""
        counted = ops.not_equal(ops.cast(y_true, "int32"), IGNORED_LABEL)
        own = ops.arange(ops.shape(y_pred)[0], dtype="int32")
        losses, weights = token_losses(ops.where(counted, own, IGNORED_LABEL), y_pred)
        return ops.sum(losses) / ops.maximum(ops.sum(weights), 1.0)

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="keras_llm")
class SquaredError(MeanLoss):
    """Mean squared error over the rows whose label is a number and not NaN: for `BertClassifier` with one class."""

    def __init__(self, name="squared_error", **kwargs):
        super().__init__(name, **kwargs)

    def total(self, y_true, y_pred):
        """Labels float `[batch]` and outputs `[batch, 1]` -> the sum of the squares, a scalar."""
        labels = ops.reshape(ops.cast(y_true, "float32"), (-1, 1))  # [batch, 1]
        counted = ops.logical_not(ops.isnan(labels))
        errors = ops.where(counted, ops.cast(y_pred, "float32") - ops.where(counted, labels, 0.0), 0.0)
        return ops.sum(ops.square(errors))

    def count(self, y_true):
        """How many rows count: a float32 scalar."""
        return ops.sum(ops.cast(ops.logical_not(ops.isnan(ops.cast(y_true, "float32"))), "float32"))


class _TokenMean(keras.metrics.Metric):
    """A mean over all real tokens seen, whatever the sizes of the batches they came in."""

    def __init__(self, name, **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")
        self.count = self.add_variable(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: labels int `[batch, T]` and logits `[batch, T, vocabulary_size]`."""
        values, weights = self.values(ops.cast(y_true, "int32"), y_pred)
        self.total.assign_add(ops.sum(values))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        """The mean so far."""
        return self.total / ops.maximum(self.count, 1.0)


@keras.saving.register_keras_serializable(package="keras_llm")
class TokenLoss(_TokenMean):
    """Cross-entropy in nats a token, over all batches by their numbers of tokens."""

    def __init__(self, name="token_loss", **kwargs):
        super().__init__(name, **kwargs)

    def values(self, labels, logits):
        """Losses and weights of the tokens."""
        return token_losses(labels, logits)


@keras.saving.register_keras_serializable(package="keras_llm")
class Perplexity(TokenLoss):
    """`exp` of the mean cross-entropy a token; every token weighs the same, whatever batch it was in."""

    def __init__(self, name="perplexity", **kwargs):
        super().__init__(name, **kwargs)

    def result(self):
        """The perplexity so far."""
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="keras_llm")
class TokenAccuracy(_TokenMean):
    """The share of real tokens whose highest score is the right one."""

    def __init__(self, name="token_accuracy", **kwargs):
        super().__init__(name, **kwargs)

    def values(self, labels, logits):
        """Hits and weights of the tokens."""
        weights = ops.cast(ops.not_equal(labels, IGNORED_LABEL), "float32")
        return ops.cast(ops.equal(ops.argmax(logits, axis=-1), labels), "float32") * weights, weights

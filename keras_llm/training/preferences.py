"""Learning from pairs of answers, of which one is the better: direct preference optimization (DPO).

Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", section 4.
"""

import keras
from keras import ops

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.training.losses import MeanLoss, token_losses


@keras.saving.register_keras_serializable(package="keras_llm")
class PairScorer(keras.Model):
    """How likely a causal language model finds the two answers of a pair.

    Dropout is always off: the reference was scored without it, and its noise would look like a change.

    Args:
        model: a causal language model such as `GPT2Model`; it is what is trained.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model

    def build(self, input_shape=None):
        """Nothing: the model has its variables."""

    def call(self, pairs):
        """Reads prompts with their answers.

        Args:
            pairs: a dict of int `[batch, T]`: `chosen_ids` and `rejected_ids`, each a prompt and one of its
                answers, padded on the right; `chosen_answer` and `rejected_answer`, 1 at the tokens of the answer
                and 0 elsewhere.

        Returns:
            float32 `[batch, 2]`: the log-probability of the chosen and of the rejected answer, the sum over its
            tokens.
        """
        token_ids = ops.concatenate([pairs["chosen_ids"], pairs["rejected_ids"]])  # [2 * batch, T]
        answer = ops.concatenate([pairs["chosen_answer"], pairs["rejected_answer"]])  # [2 * batch, T]
        logits = self.model(token_ids, training=False)  # [2 * batch, T, vocabulary_size]
        labels = ops.where(ops.equal(answer, 1), token_ids, IGNORED_LABEL)
        losses, _ = token_losses(labels[:, 1:], logits[:, :-1])  # [2 * batch, T - 1]
        sums = ops.reshape(-ops.sum(losses, axis=1), (2, -1))  # [2, batch]
        return ops.transpose(sums)  # [batch, 2]

    def save_pretrained(self, folder):
        """Writes the model alone, as its own `save_pretrained` does."""
        self.model.save_pretrained(folder)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config):
        """The reverse of `get_config`."""
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


def reward_margins(reference, found, beta):
    """How much more a model has come to prefer the chosen answer than the reference does.

    The implicit reward of an answer is `beta * log(p / p_reference)`; its margin is that of the chosen answer less
    that of the rejected one (Rafailov et al. 2023, section 4).

    Args:
        reference, found: float `[batch, 2]`, what `PairScorer` gives of the reference model and of this one.
        beta: how dear it is to leave the reference; 0.1 in the paper.

    Returns:
        `[batch]`.
    """
    rewards = beta * (found - reference)  # [batch, 2]
    return rewards[:, 0] - rewards[:, 1]


@keras.saving.register_keras_serializable(package="keras_llm")
class PreferenceLoss(MeanLoss):
    """DPO: the mean of `-log sigmoid(margin)` over pairs (Rafailov et al. 2023, equation 7).

    Args:
        beta: see `reward_margins`.
    """

    def __init__(self, beta=0.1, name="preference_loss", **kwargs):
        super().__init__(name, **kwargs)
        self.beta = beta

    def total(self, y_true, y_pred):
        """The reference's scores float `[batch, 2]`, NaN in rows that do not count, and the model's -> a scalar."""
        counted = ops.logical_not(ops.isnan(y_true[:, 0]))  # [batch]
        reference = ops.where(counted[:, None], y_true, 0.0)
        losses = -ops.log_sigmoid(reward_margins(reference, y_pred, self.beta))
        return ops.sum(ops.where(counted, losses, 0.0))

    def count(self, y_true):
        """How many pairs count: a float32 scalar."""
        return ops.sum(ops.cast(ops.logical_not(ops.isnan(y_true[:, 0])), "float32"))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "beta": self.beta}

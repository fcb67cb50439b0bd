"""Choosing the next token from a model's scores."""

import dataclasses

from keras import ops

EXCLUDED = -1e9  # the score of a token that must not be chosen


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How the next token is chosen. Everything that is set applies, in the order below.

    Args:
        temperature: scores are divided by it: below 1 the likely tokens gain, above 1 the unlikely ones;
            0 always takes the likeliest (greedy).
        top_k: keep the k likeliest tokens (Fan et al. 2018).
        top_p: keep the fewest likeliest tokens whose probabilities reach p together (Holtzman et al. 2020).
        min_p: keep the tokens at least this share as likely as the likeliest (Nguyen et al. 2024).
        repetition_penalty: above 1, the scores of tokens already in the text are lowered: divided by it
            when positive, multiplied when negative (Keskar et al. 2019, section 4.1).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        _require(self.temperature >= 0, "temperature", self.temperature, "0 (greedy) or above")
        _require(self.top_k is None or self.top_k >= 1, "top_k", self.top_k, "1 or more")
        _require(self.top_p is None or 0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and at most 1")
        _require(self.min_p is None or 0 <= self.min_p <= 1, "min_p", self.min_p, "from 0 to 1")
        _require(self.repetition_penalty > 0, "repetition_penalty", self.repetition_penalty, "above 0")

    def scores(self, logits, seen=None):
        """The scores from which a token is drawn.

        Args:
            logits: float32 `[batch, vocabulary_size]`.
            seen: bool `[batch, vocabulary_size]`, the tokens that stand in the text so far.

        Returns:
            float32 `[batch, vocabulary_size]`: logits of the tokens that stay, -1e9 for the others.
        """
        if self.repetition_penalty != 1.0 and seen is not None:
            lowered = ops.where(
                logits > 0, logits / self.repetition_penalty, logits * self.repetition_penalty
            )
            logits = ops.where(seen, lowered, logits)
        if self.temperature not in (0.0, 1.0):
            logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = ops.top_k(logits, self.top_k)[0][:, -1:]  # [batch, 1]: the k-th highest score
            logits = ops.where(logits >= least, logits, EXCLUDED)
        if self.top_p is not None and self.top_p < 1.0:
            logits = ops.where(logits >= self._top_p_threshold(logits), logits, EXCLUDED)
        if self.min_p is not None:
            probabilities = ops.softmax(logits)  # [batch, vocabulary_size]
            likeliest = ops.max(probabilities, axis=-1, keepdims=True)  # [batch, 1]
            logits = ops.where(probabilities >= self.min_p * likeliest, logits, EXCLUDED)
        return logits

    def _top_p_threshold(self, logits):
        """The lowest score that stays, `[batch, 1]`: tokens before it do not reach `top_p` together."""
        descending = ops.flip(ops.sort(logits, axis=-1), axis=-1)  # [batch, vocabulary_size]
        probabilities = ops.softmax(descending)
        before = ops.cumsum(probabilities, axis=-1) - probabilities  # what the likelier tokens sum to
        return ops.min(ops.where(before < self.top_p, descending, float("inf")), axis=-1, keepdims=True)

    def choose(self, logits, uniform, seen=None):
        """Draws a token a row.

        The random numbers are an input: the same numbers choose the same tokens on every backend, and
        nothing random is hidden in compiled code.

        Args:
            logits: `[batch, vocabulary_size]`.
            uniform: float32 `[batch]` in [0, 1); unused by greedy choice.
            seen: see `scores`.

        Returns:
            int32 `[batch]`.
        """
        scores = self.scores(ops.cast(logits, "float32"), seen)
        if self.temperature == 0:
            return ops.cast(ops.argmax(scores, axis=-1), "int32")
        cumulative = ops.cumsum(ops.softmax(scores), axis=-1)  # [batch, vocabulary_size]
        # A number below the last sum, so that the first sum above it belongs to a token that can be chosen.
        mark = ops.minimum(uniform, 1.0 - 2.0**-20)[:, None] * cumulative[:, -1:]
        return ops.sum(ops.cast(cumulative <= mark, "int32"), axis=-1)


def _require(valid, name, value, allowed):
    if not valid:
        raise ValueError(f"{name}={value} is not possible; it must be {allowed}.")


GREEDY = Sampler(temperature=0.0)

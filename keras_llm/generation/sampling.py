"""Choosing the next token from a model's scores."""

import dataclasses

import numpy as np
from keras import ops

EXCLUDED = -1e9  # the score of a token that must not be chosen
FEW = 128  # for a top_k up to this, only so many scores are sorted and not the whole vocabulary's
ALL = 2**31 - 1


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

    @property
    def penalizes(self):
        """Whether `scores` needs to know the tokens seen so far."""
        return self.repetition_penalty != 1.0

    @property
    def numbers(self):
        """The five settings as scalars; one that is not set has a value that changes nothing."""
        return (
            np.float32(self.temperature),
            np.int32(min(self.top_k or ALL, ALL)),
            np.float32(2.0 if self.top_p in (None, 1.0) else self.top_p),  # 2: above every sum, also rounded
            np.float32(self.min_p or 0.0),
            np.float32(self.repetition_penalty),
        )

    @property
    def structure(self):
        """What code is compiled for: samplers with the same structure differ in their `numbers` alone."""
        return self.temperature == 0, self._sorted, self.penalizes

    @property
    def _sorted(self):
        """How many of the likeliest tokens `top_k` and `top_p` need to see in order."""
        if self.top_k is not None and self.top_k <= FEW:
            return FEW
        return 0 if self.top_k is None and self.top_p in (None, 1.0) else ALL

    def scores(self, logits, seen=None, numbers=None):
        """The scores from which a token is drawn.

        Args:
            logits: float32 `[batch, vocabulary_size]`.
            seen: bool `[batch, vocabulary_size]`, the tokens that stand in the text so far.
            numbers: the `numbers` to use, as tensors in compiled code; by default the sampler's own.

        Returns:
            float32 `[batch, vocabulary_size]`: logits of the tokens that stay, -1e9 for the others.
        """
        temperature, top_k, top_p, min_p, penalty = self.numbers if numbers is None else numbers
        if self.penalizes and seen is not None:
            lowered = ops.where(logits > 0, logits / penalty, logits * penalty)
            logits = ops.where(seen, lowered, logits)
        if self.temperature > 0:
            logits = logits / temperature
        if count := min(self._sorted, logits.shape[-1]):
            likeliest = ops.top_k(logits, count)[0]  # [batch, count], falling
            logits = ops.where(logits >= _lowest_kept(likeliest, top_k, top_p), logits, EXCLUDED)
        # p >= min_p * max(p), in logarithms
        least = ops.max(logits, axis=-1, keepdims=True) + ops.log(min_p)  # [batch, 1]
        return ops.where(logits >= least, logits, EXCLUDED)

    def choose(self, logits, uniform, seen=None, numbers=None):
        """Draws a token a row.

        The random numbers are an input: the same numbers choose the same tokens on every backend, and
        nothing random is hidden in compiled code.

        Args:
            logits: `[batch, vocabulary_size]`.
            uniform: float32 `[batch]` in [0, 1); unused by greedy choice.
            seen: see `scores`.
            numbers: see `scores`.

        Returns:
            int32 `[batch]`.
        """
        scores = self.scores(ops.cast(logits, "float32"), seen, numbers)
        if self.temperature == 0:
            return ops.cast(ops.argmax(scores, axis=-1), "int32")
        cumulative = ops.cumsum(ops.softmax(scores), axis=-1)  # [batch, vocabulary_size]
        # A number below the last sum, so that the first sum above it belongs to a token that can be chosen.
        mark = ops.minimum(uniform, 1.0 - 2.0**-20)[:, None] * cumulative[:, -1:]
        return ops.sum(ops.cast(cumulative <= mark, "int32"), axis=-1)


def _lowest_kept(likeliest, top_k, top_p):
    """The score, `[batch, 1]`, that a token needs for both filters; `likeliest` is `[batch, count]`, falling."""
    last = ops.minimum(top_k, likeliest.shape[-1]) - 1
    least = ops.take(likeliest, last, axis=-1)[:, None]  # [batch, 1]: the k-th highest score
    likeliest = ops.where(likeliest >= least, likeliest, EXCLUDED)
    probabilities = ops.softmax(likeliest)
    before = ops.cumsum(probabilities, axis=-1) - probabilities  # what the likelier tokens sum to
    nucleus = ops.min(ops.where(before < top_p, likeliest, float("inf")), axis=-1, keepdims=True)
    return ops.maximum(least, nucleus)


def _require(valid, name, value, allowed):
    if not valid:
        raise ValueError(f"{name}={value} is not possible; it must be {allowed}.")


GREEDY = Sampler(temperature=0.0)

"""Counting: an n-gram language model on NLTK, over the same token ids as the neural models."""

import math

import numpy as np


class NgramModel:
    """Predicts the next token from the `order - 1` tokens before it, by counting.

    Absolute discounting with interpolation (Ney, Essen and Kneser 1994): each seen n-gram gives up 0.75 of a
    count, and what is saved goes to the next shorter context. NLTK does the counting and the smoothing. The
    shortest context gives every token of the vocabulary one count, so that no probability is zero.

    Args:
        order: 1 counts tokens, 2 pairs, 3 triples.
        vocabulary_size: number of token ids.
    """

    def __init__(self, order, vocabulary_size):
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}.")
        self.order = order
        self.vocabulary_size = vocabulary_size

    def fit(self, token_ids):
        """Counts the n-grams of all orders in a text, int `[n]`. Returns the model."""
        from nltk.lm import AbsoluteDiscountingInterpolated, NgramCounter
        from nltk.util import ngrams

        words = _words(token_ids)
        counts = NgramCounter(ngrams(words, n) for n in range(1, self.order + 1))
        every_token = _words(range(self.vocabulary_size))
        counts.update([[(word,) for word in every_token]])
        self._model = AbsoluteDiscountingInterpolated(self.order, counter=counts)
        self._model.vocab.update(every_token)
        return self

    def probability(self, token_id, context):
        """P(token | context): the last `order - 1` ids of `context` count; fewer are allowed."""
        context = _words(context)[max(len(context) - self.order + 1, 0) :]
        return self._model.unmasked_score(str(int(token_id)), tuple(context))

    def loss(self, token_ids):
        """Mean of `-log P(token | tokens before)` over all tokens but the first, in nats."""
        words = _words(token_ids)
        total = 0.0
        for i in range(1, len(words)):
            context = tuple(words[max(i - self.order + 1, 0) : i])
            total -= math.log(self._model.unmasked_score(words[i], context))
        return total / (len(words) - 1)

    def perplexity(self, token_ids):
        """`exp` of `loss`."""
        return math.exp(self.loss(token_ids))


def _words(token_ids):
    """NLTK counts strings."""
    return [str(token_id) for token_id in np.asarray(token_ids).tolist()]

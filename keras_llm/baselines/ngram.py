"""Counting: an n-gram language model on NLTK, over the same token ids as the neural models."""

import math

import numpy as np

from keras_llm.files import atomic_path, require_file


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
        from nltk.lm import NgramCounter
        from nltk.util import ngrams

        words = _words(token_ids)
        counts = NgramCounter(ngrams(words, n) for n in range(1, self.order + 1))
        counts.update([[(word,) for word in _words(range(self.vocabulary_size))]])
        return self._take(counts)

    def _take(self, counts):
        from nltk.lm import AbsoluteDiscountingInterpolated

        self._model = AbsoluteDiscountingInterpolated(self.order, counter=counts)
        self._model.vocab.update(_words(range(self.vocabulary_size)))
        return self

    def probability(self, token_id, context):
        """P(token | context): the last `order - 1` ids of `context` count; fewer are allowed."""
        return self._model.unmasked_score(str(int(token_id)), self._last(context))

    def probabilities(self, context):
        """P(token | context) of every token: float64 `[vocabulary_size]`."""
        context = self._last(context)
        found = np.array([self._model.counts.unigrams[word] for word in _words(range(self.vocabulary_size))])
        found = found / found.sum()  # [vocabulary_size]
        for length in range(1, len(context) + 1):
            seen = self._model.counts[context[-length:]]
            if seen:
                saved = self._model.estimator.discount * len(seen) / seen.N()
                found *= saved
                for word, count in seen.items():
                    found[int(word)] += (count - self._model.estimator.discount) / seen.N()
        return found

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

    def count_params(self):
        """Number of counts that it holds: the different n-grams of all orders."""
        counts = self._model.counts
        longer = (len(seen) for n in range(2, self.order + 1) for seen in counts[n].values())
        return len(counts.unigrams) + sum(longer)

    def save(self, path):
        """Writes all counts to a safetensors file."""
        import safetensors.numpy

        counts, arrays = self._model.counts, {}
        for n in range(1, self.order + 1):
            contexts = counts[n].items() if n > 1 else [((), counts.unigrams)]
            rows = [(*context, word, count) for context, seen in contexts for word, count in seen.items()]
            arrays[f"counts_{n}"] = np.array(rows, "int64").reshape(-1, n + 1)  # [n-grams, n ids and a count]
        with atomic_path(path) as temporary:
            safetensors.numpy.save_file(
                arrays, temporary, {"vocabulary_size": str(self.vocabulary_size), "order": str(self.order)}
            )

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is broken, or no file of n-grams.
        """
        import safetensors
        from nltk.lm import NgramCounter

        counts = NgramCounter()
        try:
            with safetensors.safe_open(require_file(path), "numpy") as file:
                facts = file.metadata() or {}
                model = cls(int(facts["order"]), int(facts["vocabulary_size"]))
                tables = [file.get_tensor(f"counts_{n}") for n in range(1, model.order + 1)]
        except (safetensors.SafetensorError, KeyError) as error:
            raise ValueError(f"{path} is not a file of n-grams, or it is not whole ({error}).") from error
        for n, table in enumerate(tables, 1):
            for *words, count in table.tolist():
                *context, word = map(str, words)
                (counts[n][tuple(context)] if n > 1 else counts.unigrams)[word] = count
        return model._take(counts)

    def _last(self, context):
        """The words of the context that count."""
        return tuple(_words(context)[max(len(context) - self.order + 1, 0) :])


def _words(token_ids):
    """NLTK counts strings."""
    return [str(token_id) for token_id in np.asarray(token_ids).tolist()]

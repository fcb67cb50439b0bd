"""Word vectors learnt from the words around a word (Mikolov et al. 2013, "Distributed Representations of Words and
Phrases and their Compositionality", section 2): skip-gram with negative sampling.
"""

import keras
import numpy as np
from keras import ops

from keras_llm.checkpoints.word_vectors import read_word_vectors, write_word_vectors
from keras_llm.datasets.batches import Batches, check_ids
from keras_llm.datasets.labels import IGNORED_LABEL


@keras.saving.register_keras_serializable(package="keras_llm")
class SkipGram(keras.Model):
    """Scores which words stand near a word: the product of its vector with the other word's *output* vector.

    Args:
        vocabulary_size: number of words.
        dim: width of the vectors.
    """

    def __init__(self, vocabulary_size, dim=100, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.dim = dim
        small = keras.initializers.RandomUniform(-0.5 / dim, 0.5 / dim)
        self.embedding = keras.layers.Embedding(vocabulary_size, dim, small, name="embedding")
        self.output_embedding = keras.layers.Embedding(vocabulary_size, dim, "zeros", name="output_embedding")
        self.build()

    def build(self, input_shape=None):
        """Makes the variables."""
        self.embedding.build()
        self.output_embedding.build()

    def call(self, inputs):
        """Logits float `[batch, n]` from a dict of `"centers"`, int `[batch]`, and `"targets"`, int `[batch, n]`."""
        centers = self.embedding(inputs["centers"])  # [batch, dim]
        targets = self.output_embedding(inputs["targets"])  # [batch, n, dim]
        return ops.einsum("bd,bnd->bn", centers, targets)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "dim": self.dim}


@keras.saving.register_keras_serializable(package="keras_llm")
class NegativeSamplingLoss(keras.losses.Loss):
    """Equation 4 of the paper, with its sign turned: `-log s(right) - sum of log s(-negative)`, s the sigmoid.

    The mean over the batch; what is labelled -100 is left out.
    """

    def __init__(self, name="negative_sampling", **kwargs):
        kwargs.pop("reduction", None)  # the mean below is the only one
        super().__init__(name=name, reduction="sum", **kwargs)

    def call(self, y_true, y_pred):
        """Labels int `[batch, n]`, 1 for a word that stood there and 0 for a drawn one, and logits -> a scalar."""
        losses = ops.softplus(ops.where(ops.equal(y_true, 1), -y_pred, y_pred))  # [batch, n], -log s(+-logit)
        losses = ops.where(ops.equal(y_true, IGNORED_LABEL), 0.0, losses)
        return ops.mean(ops.sum(losses, axis=1))

    def get_config(self):
        """The constructor's arguments."""
        return {"name": self.name}


class SkipGramBatches(Batches):
    """Pairs of a word and one near it, and words drawn at random beside them.

    Section 2.3: each occurrence of a word with share f of the text is left out with probability 1 - sqrt(t / f). Of what
    remains, each word looks up to r words to both sides, r drawn from 1 to `window` for each. Section 2.2: negatives
    are drawn by their counts to the power of 0.75. The draws of each pass are its own.

    Args:
        documents: lists of token ids; no pair reaches over their borders.
        vocabulary_size: number of words.
        batch_size: pairs a batch.
        window: words to each side, at most.
        negatives: drawn words a pair.
        subsample: t; 1 leaves nothing out. Word2vec takes 1e-5 to 1e-3, the less the longer the text.
        seed, first_batch: see `Batches`.
        skip: ids that are no words, such as the special ones; they are neither looked at nor drawn.

    Each batch is a dict of int32 arrays, `"centers"` `[batch]` and `"targets"` `[batch, 1 + negatives]`, and labels
    `[batch, 1 + negatives]`: 1, then zeros; -100 where a negative is the right word by chance.

    Raises:
        ValueError: ids beyond the vocabulary, or too little text for one batch.
    """

    def __init__(
        self,
        documents,
        vocabulary_size,
        batch_size=1024,
        window=5,
        negatives=5,
        subsample=1e-3,
        seed=0,
        skip=(),
        first_batch=0,
    ):
        self.token_ids = np.concatenate([np.asarray(ids, "int32") for ids in documents])  # [n]
        self.document = np.repeat(np.arange(len(documents)), [len(ids) for ids in documents])  # [n]
        check_ids(self.token_ids, vocabulary_size)
        words = ~np.isin(self.token_ids, list(skip))
        self.token_ids, self.document = self.token_ids[words], self.document[words]
        counts = np.bincount(self.token_ids, minlength=vocabulary_size)
        share = counts / max(counts.sum(), 1)
        self.keep = np.minimum(np.sqrt(subsample / np.maximum(share, 1e-12)), 1.0)  # [vocabulary_size]
        noise = np.cumsum(counts**0.75)
        self.noise = noise / max(noise[-1], 1e-12)  # [vocabulary_size], rising to 1
        self.window = window
        self.negatives = negatives
        self.seed = seed
        self._made = self._ordered = (
            None,
            None,
        )  # a pass, and what was made for it: the next batch needs it again
        super().__init__(len(self.pairs(0)), batch_size, seed, drop_remainder=True, first_batch=first_batch)

    def pairs(self, epoch):
        """All pairs of a pass, int32 `[n, 2]`: a word and one near it."""
        if self._made[0] != epoch:
            random = np.random.default_rng((self.seed, epoch, 1))
            kept = random.random(len(self.token_ids)) < self.keep[self.token_ids]
            ids, document = self.token_ids[kept], self.document[kept]
            reach = random.integers(1, self.window + 1, len(ids))
            found = [np.empty((0, 2), "int32")]
            for distance in range(1, self.window + 1):
                left, right = ids[:-distance], ids[distance:]
                together = document[:-distance] == document[distance:]
                for center, other, own in (
                    (left, right, reach[:-distance]),
                    (right, left, reach[distance:]),
                ):
                    near = together & (own >= distance)
                    found.append(np.stack([center[near], other[near]], axis=1))
            self._made = epoch, np.concatenate(found)
        return self._made[1]

    def rows(self, numbers, epoch):
        """Pairs of this pass. A pass has as many as the first: a few are left out, or come again."""
        pairs = self.pairs(epoch)
        numbers = np.asarray(numbers) % len(pairs)
        centers, right = pairs[numbers].T
        random = np.random.default_rng((self.seed, epoch, 2, int(numbers[0])))  # no other batch begins so
        drawn = random.random((len(numbers), self.negatives))
        targets = np.concatenate([right[:, None], np.searchsorted(self.noise, drawn, side="right")], axis=1)
        labels = np.where(targets == right[:, None], IGNORED_LABEL, 0)
        labels[:, 0] = 1
        inputs = {"centers": centers, "targets": targets.astype("int32")}
        return inputs, labels.astype("int32")

    def _order(self, epoch):
        """One permutation a pass, kept for its batches."""
        if self._ordered[0] != epoch:
            self._ordered = epoch, super()._order(epoch)
        return self._ordered[1]


class WordVectors:
    """Words as places: which are near, and what lies where three others point to.

    Args:
        words: list of strings.
        vectors: float `[len(words), dim]`.
    """

    def __init__(self, words, vectors):
        self.words = list(words)
        self.vectors = np.asarray(vectors, "float32")
        self.rows = {word: row for row, word in enumerate(self.words)}
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        self.directions = self.vectors / np.maximum(lengths, 1e-12)  # [len(words), dim], of length 1

    def direction(self, word):
        """The word's vector with length 1.

        Raises:
            ValueError: the word has no vector.
        """
        if word not in self.rows:
            raise ValueError(f"There is no vector for {word!r}.")
        return self.directions[self.rows[word]]

    def similarity(self, first, second):
        """The cosine between two words."""
        return float(self.direction(first) @ self.direction(second))

    def nearest(self, expression, top=10):
        """The words nearest to a word, or to a sum such as `"king - man + woman"`, by the cosine.

        Args:
            expression: words with `+` or `-` between them, all apart by spaces.
            top: how many.

        Returns:
            A list of (word, cosine); the words of the expression are left out.

        Raises:
            ValueError: a word has no vector, or the expression has no such form.
        """
        parts = expression.split()
        words, signs = parts[::2], ["+", *parts[1::2]]
        if len(parts) % 2 == 0 or not set(signs) <= {"+", "-"}:
            raise ValueError(f"{expression!r} is neither a word nor words with + or - between them.")
        place = sum(self.direction(word) * (1 if sign == "+" else -1) for word, sign in zip(words, signs))
        cosines = self.directions @ (place / max(np.linalg.norm(place), 1e-12))  # [len(words)]
        order = [row for row in np.argsort(-cosines, kind="stable") if self.words[row] not in words]
        return [(self.words[row], float(cosines[row])) for row in order[:top]]

    def odd_one_out(self, words):
        """The word whose cosines with the others have the lowest sum."""
        directions = np.stack([self.direction(word) for word in words])  # [n, dim]
        return words[int((directions @ directions.T).sum(axis=1).argmin())]

    def save(self, path):
        """Writes word2vec's text format."""
        write_word_vectors(path, self.words, self.vectors)

    @classmethod
    def load(cls, path):
        """Reads word2vec's or GloVe's text format."""
        return cls(*read_word_vectors(path))

"""Counting: a hidden Markov model that gives each word of a sentence a tag, on NLTK."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

from keras_llm.files import read_json, write_json

COUNTS = ("first", "next", "words")
# What a rare word looks like, after Bikel et al. 1997, "Nymble", table 3.1. The first that fits.
SHAPES = {
    "<address>": re.compile(r"(https?://|www\.).*"),
    "<user>": re.compile(r"@\w+"),
    "<topic>": re.compile(r"#\w+"),
    "<number>": re.compile(r"[^\w]*\d[\d.,:/-]*[^\w]*"),
    "<letters and digits>": re.compile(r"(?=.*\d)\w.*"),
    "<all capitals>": re.compile(r"[A-Z][A-Z.&'-]+"),
    "<capital>": re.compile(r"[A-Z].*"),
    "<small>": re.compile(r"[a-z].*"),
    "<mark>": re.compile(r"[^\w]+"),
    "<other>": re.compile(r".*", re.DOTALL),
}


class HmmTagger:
    """Tags words by what follows what: P(words, tags) = product of P(tag | tag before) P(word | tag).

    Rabiner 1989, "A Tutorial on Hidden Markov Models", section III. The probabilities are counted in tagged sentences,
    with `smoothing` added to each count (Lidstone), so that none is zero; the likeliest tags are found by Viterbi's
    algorithm. NLTK does both. A word that occurs once in training, or never, counts as its shape (capital, number, ...):
    what is new is likely to be tagged as rare words of its shape were.

    Args:
        smoothing: what is added to each count, above 0.
    """

    def __init__(self, smoothing=0.01):
        if smoothing <= 0:
            raise ValueError(f"smoothing must be above 0, not {smoothing}.")
        self.smoothing = smoothing

    def fit(self, sentences, tags):
        """Counts.

        Args:
            sentences: lists of words.
            tags: a list of tags for each, one a word.

        Returns:
            The tagger.

        Raises:
            ValueError: no word at all, or a sentence and its tags differ in length.
        """
        occurrences = Counter(word for sentence in sentences for word in sentence)
        if not occurrences:
            raise ValueError("sentences holds no word.")
        self.vocabulary = {word for word, count in occurrences.items() if count > 1}
        first, after, words = Counter(), defaultdict(Counter), defaultdict(Counter)
        for number, (sentence, own) in enumerate(zip(sentences, tags, strict=True)):
            if len(sentence) != len(own):
                raise ValueError(f"Sentence {number} has {len(sentence)} words and {len(own)} tags.")
            first.update(own[:1])
            for before, tag in pairwise(own):
                after[before][tag] += 1
            for word, tag in zip(self._known(sentence), own):
                words[tag][word] += 1
        return self._take(first, after, words)

    def _take(self, first, after, words):
        """Makes NLTK's model of the counts."""
        from nltk.probability import ConditionalFreqDist, ConditionalProbDist, FreqDist, LidstoneProbDist
        from nltk.tag.hmm import HiddenMarkovModelTagger

        def distributions(counts, bins):
            table = ConditionalFreqDist()
            for condition in self.tags:
                table[condition] = FreqDist(counts.get(condition, {}))
            return ConditionalProbDist(table, LidstoneProbDist, self.smoothing, bins)

        self.counts = dict(zip(COUNTS, (first, after, words)))
        self.tags = sorted(words)
        symbols = sorted(self.vocabulary | set(SHAPES))
        self._model = HiddenMarkovModelTagger(
            symbols,
            self.tags,
            transitions=distributions(after, len(self.tags)),
            outputs=distributions(words, len(symbols)),
            priors=LidstoneProbDist(FreqDist(first), self.smoothing, len(self.tags)),
        )
        return self

    def _known(self, sentence):
        """The words as the model sees them."""
        return [word if word in self.vocabulary else shape(word) for word in sentence]

    def predict(self, sentences):
        """The likeliest tags: a list for each sentence, a list of words."""
        return [self._model.best_path(self._known(sentence)) if sentence else [] for sentence in sentences]

    def log_probability(self, sentence, tags):
        """log P(words, tags), in nats."""
        from math import log

        pairs = list(zip(self._known(sentence), tags, strict=True))
        return log(2) * self._model.log_probability(pairs)  # NLTK counts in bits

    def save(self, path):
        """Writes the counts as JSON."""
        write_json(path, {"smoothing": self.smoothing, "vocabulary": sorted(self.vocabulary), **self.counts})

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is broken, or no file of an HMM.
        """
        found = read_json(path)
        missing = {"smoothing", "vocabulary", *COUNTS} - set(found)
        if missing:
            raise ValueError(f"{path} is no file of an HMM: it has no {', '.join(sorted(missing))}.")
        tagger = cls(found["smoothing"])
        tagger.vocabulary = set(found["vocabulary"])
        return tagger._take(*(found[name] for name in COUNTS))


def shape(word):
    """What kind of word it is by its looks, one of `SHAPES`."""
    return next(name for name, pattern in SHAPES.items() if pattern.fullmatch(word))

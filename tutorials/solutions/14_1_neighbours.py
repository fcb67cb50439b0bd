"""Chapter 14, exercise 1: fill in the blank by counting which token stands between two neighbours."""

import collections

import numpy as np

from keras_llm.datasets import docstring_corpus
from keras_llm.tokenizers import Tokenizer

train, validation, test = (docstring_corpus(split, ("keras",)) for split in ("train", "validation", "test"))
texts = {"train": train, "validation": validation + test}
tokenizer = Tokenizer.train(texts["train"], "wordpiece", 1_000, lowercase=True)


def paragraphs(split):
    return tokenizer.encode([part for text in texts[split] for part in text.split("\n\n") if part.strip()])


between, behind = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
alone = collections.Counter()
for row in paragraphs("train"):
    for left, word, right in zip(row, row[1:], row[2:]):
        between[left, right][word] += 1
        behind[left][word] += 1
        alone[word] += 1

# Each token of the validation text is asked once; [CLS] and [SEP] are neighbours too, but never asked.
commonest = alone.most_common(1)[0][0]
hits = {"by frequency": 0, "left neighbour": 0, "both neighbours": 0}
asked = 0
for row in paragraphs("validation"):
    for left, word, right in zip(row, row[1:], row[2:]):
        by_left = behind[left].most_common(1)[0][0] if left in behind else commonest
        by_both = between[left, right].most_common(1)[0][0] if (left, right) in between else by_left
        guesses = (commonest, by_left, by_both)
        for name, guess in zip(hits, guesses):
            hits[name] += guess == word
        asked += 1
for name, count in hits.items():
    print(f"{name:16} {count / asked:.1%} of {asked:,}")

# Both sides tell more than one, and one more than none. Counting is a strong baseline, as in chapter 9.
assert hits["by frequency"] < hits["left neighbour"] < hits["both neighbours"]

# A case on paper: "a x b" twice and "a y b" once. Between a and b, x is the better guess.
small = collections.Counter("xxy")
assert small.most_common(1) == [("x", 2)] and np.isclose(small["x"] / small.total(), 2 / 3)

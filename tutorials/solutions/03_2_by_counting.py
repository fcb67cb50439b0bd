"""Chapter 3, exercise 2: word vectors from a table of counts (Levy and Goldberg 2014)."""

import numpy as np

from keras_llm.models.word2vec import WordVectors

KINDS = {"cat dog horse bird": "drinks sleeps runs", "train car truck plane": "stops turns leaves"}
random, lines = np.random.default_rng(0), []
for _ in range(2000):
    nouns, verbs = list(KINDS.items())[random.integers(2)]
    lines.append([random.choice(nouns.split()), random.choice(verbs.split())])
words = sorted({word for line in lines for word in line})

table = np.zeros((len(words), len(words)))
for a, b in lines:
    table[words.index(a), words.index(b)] += 1
    table[words.index(b), words.index(a)] += 1

# How much more often a pair came than its words' shares would let one expect; 0 where it came less often
shares = table.sum(axis=1) / table.sum()
with np.errstate(divide="ignore"):
    information = np.log(table / table.sum() / np.outer(shares, shares))
positive = np.maximum(information, 0)
left, sizes, _ = np.linalg.svd(positive)
vectors = WordVectors(words, left[:, :4] * np.sqrt(sizes[:4]))  # [words, 4]

for kind in KINDS:
    for noun in kind.split():
        near = {word for word, _ in vectors.nearest(noun, 3)}
        print(noun, sorted(map(str, near)))
        assert near == set(kind.split()) - {noun}

# No animal ever stood beside another one: cat and dog have count 0, but the same row.
assert table[words.index("cat"), words.index("dog")] == 0

"""Chapter 7, exercise 3: BLEU of a list of sentences, with the brevity penalty."""

import math
from collections import Counter

from keras_llm.evaluation.translation import translation_metrics


def runs(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(translations, references):
    pairs = [(said.split(), right.split()) for said, right in zip(translations, references)]
    shares = []
    for n in (1, 2, 3, 4):  # hits and runs are added up over all sentences, and divided once
        hits = sum((runs(said, n) & runs(right, n)).total() for said, right in pairs)
        shares.append(hits / sum(runs(said, n).total() for said, _ in pairs))
    said, right = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
    penalty = math.exp(min(1 - right / said, 0))
    return 100 * penalty * math.prod(shares) ** (1 / 4)


translations = ["the cat sat on the red mat", "it rains", "we will go home very soon now"]
references = ["the cat sat on a red mat", "it rains in the town", "we will go home soon"]
ours, theirs = bleu(translations, references), translation_metrics(translations, references)["bleu"]
print(f"{ours:.4f} {theirs:.4f}")
assert math.isclose(ours, theirs, rel_tol=1e-6)
short = bleu(["the cat sat on"], ["the cat sat on a red mat"])  # all of it right, and only half of it there
print(f"{short:.2f}")
assert math.isclose(short, 100 * math.exp(1 - 7 / 4))

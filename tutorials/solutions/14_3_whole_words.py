"""Chapter 14, exercise 3: hide whole words until 15 % of the pieces are hidden."""

import numpy as np

pieces = (
    "[CLS] the initial ##izer of the token ##izer is not re ##us ##able and the vo ##ca ##bu ##lary".split()
)
pieces += (
    "of a large model is fro ##zen by default so it can not be trained again later by anyone else".split()
)
pieces += ["[SEP]"]


def words_of(pieces):
    """The places of each word's pieces, without [CLS] and [SEP]."""
    words = []
    for place, piece in enumerate(pieces):
        if piece.startswith("##"):
            words[-1].append(place)
        elif not piece.startswith("["):
            words.append([place])
    return words


def hide_whole_words(pieces, rng, rate=0.15):
    words = words_of(pieces)
    room = round(rate * sum(map(len, words)))
    chosen = []
    for number in rng.permutation(len(words)):  # in random order, each that still fits
        if len(words[number]) <= room:
            chosen += words[number]
            room -= len(words[number])
    hidden = list(pieces)
    for place in chosen:
        fate = rng.random()
        if fate < 0.8:
            hidden[place] = "[MASK]"
        elif fate < 0.9:
            hidden[place] = pieces[rng.integers(1, len(pieces) - 1)]
    return hidden, sorted(chosen)


words = words_of(pieces)
ordinary = sum(map(len, words))
rng = np.random.default_rng(0)
asked = np.zeros(len(pieces))
for _ in range(5_000):
    hidden, chosen = hide_whole_words(pieces, rng)
    assert all(set(word) <= set(chosen) or not set(word) & set(chosen) for word in words)  # never cut
    assert len(chosen) == round(0.15 * ordinary)  # words of one piece fill up the rest
    assert all(hidden[i] == pieces[i] for i in range(len(pieces)) if i not in chosen)
    asked[chosen] += 1
print(" ".join(hidden))
print(f"{len(words)} words, {ordinary} pieces, {round(0.15 * ordinary)} of them hidden")

# The price of the rule: when little room is left, long words do not fit, so they are asked less often.
asked /= 5_000
of_one, of_four = pieces.index("model"), pieces.index("vo")
print(
    f"a word of one piece is asked in {asked[of_one]:.1%} of the texts, one of four in {asked[of_four]:.1%}"
)
assert asked[0] == asked[-1] == 0 and asked[of_four] < asked[of_one]

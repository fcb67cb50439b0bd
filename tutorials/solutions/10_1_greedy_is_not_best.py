"""Chapter 10, exercise 1: the greedy text is not the likeliest one."""

import itertools

import numpy as np

words = ["nice", "the", "dog"]
first = np.array([0.5, 0.4, 0.1])  # probabilities of the first word
second = np.array(  # row: the first word; column: the word after it
    [
        [0.4, 0.3, 0.3],  # after "nice" anything may come
        [0.05, 0.05, 0.9],  # after "the" it is clear
        [0.3, 0.3, 0.4],
    ]
)

# Greedy: the best word, then the best word after it.
a = int(np.argmax(first))
greedy = (a, int(np.argmax(second[a])))
greedy_probability = first[greedy[0]] * second[greedy]

# All nine texts.
texts = {(a, b): first[a] * second[a, b] for a, b in itertools.product(range(3), repeat=2)}
best = max(texts, key=texts.get)
assert np.isclose(sum(texts.values()), 1)

# Beam search: keep the two best beginnings, continue both, take the best.
beams = np.argsort(-first)[:2]
found = max(((int(a), b) for a in beams for b in range(3)), key=texts.get)

for name, text in (("greedy", greedy), ("all texts tried", best), ("beam of two", found)):
    print(f"{name:16} {' '.join(words[i] for i in text):10} {texts[text]:.2f}")
assert np.isclose(greedy_probability, 0.5 * 0.4)
assert best == found == (1, 2) and np.isclose(texts[best], 0.4 * 0.9)

# The greedy choice closes a door: "nice" was a little better than "the", but nothing good comes after it. A beam
# keeps several doors open. It is used where there is one right text, as in translation; for free writing the
# likeliest text is a dull one.

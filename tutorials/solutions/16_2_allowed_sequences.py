"""Chapter 16, exercise 2: the best sequence of tags that may follow each other."""

import itertools

import numpy as np

TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


def allowed(before, tag):
    """`I-X` may follow only `B-X` and `I-X`; nothing stands before the first tag ("")."""
    return not tag.startswith("I-") or before[2:] == tag[2:]


def best_sequence(scores):
    """Viterbi: for each word and tag the best way to get there; then the way back. scores: [words, tags]."""
    steps = np.array([[0.0 if allowed(a, b) else -np.inf for b in TAGS] for a in TAGS])
    total = np.array([score if allowed("", tag) else -np.inf for tag, score in zip(TAGS, scores[0])])
    came_from = []
    for row in scores[1:]:
        ways = total[:, None] + steps  # [tag before, tag]
        came_from.append(ways.argmax(axis=0))
        total = ways.max(axis=0) + row
    places = [int(total.argmax())]
    for back in reversed(came_from):
        places.append(int(back[places[-1]]))
    return [TAGS[place] for place in reversed(places)]


def by_trying_all(scores):
    possible = [
        choice
        for choice in itertools.product(range(len(TAGS)), repeat=len(scores))
        if all(allowed(a, b) for a, b in itertools.pairwise(["", *(TAGS[place] for place in choice)]))
    ]
    best = max(possible, key=lambda choice: sum(row[place] for row, place in zip(scores, choice)))
    return [TAGS[place] for place in best]


# "Ann Lee": alone, each word takes its best tag, B-LOC and I-PER, which do not fit together.
scores = np.array([[2.0, 1.8, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 3.0, 0.5]])
print([TAGS[place] for place in scores.argmax(axis=1)], "->", best_sequence(scores))
assert best_sequence(scores) == ["B-PER", "I-PER"]  # 1.8 + 3.0 is more than 2.0 + 1.0

rng = np.random.default_rng(0)
broken = 0
for _ in range(100):
    scores = rng.normal(size=(4, len(TAGS)))
    alone = [TAGS[place] for place in scores.argmax(axis=1)]
    broken += not all(allowed(a, b) for a, b in itertools.pairwise(["", *alone]))
    assert best_sequence(scores) == by_trying_all(scores)
print(f"equal on 100 random cases; {broken} of them were broken when each word chose alone")

"""Chapter 17, exercise 1: the best span in one walk."""

import numpy as np


def all_pairs(start, end):
    pairs = [(first, last) for first in range(len(start)) for last in range(first, len(start))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


def one_walk(start, end):
    """For each possible end the best start is the best of those up to it: one number to remember."""
    best_start, best = 0, (0, 0)
    for place in range(len(start)):
        if start[place] > start[best_start]:
            best_start = place
        if start[best_start] + end[place] > start[best[0]] + end[best[1]]:
            best = best_start, place
    return best


start = np.array([1.0, 2.0, 0.0, 0.0, 3.0, 1.0, 0.0, 0.0])
end = np.array([0.0, 4.0, 0.0, 0.0, 0.0, 1.0, 3.5, 0.0])
assert one_walk(start, end) == (4, 6)  # "the red box" of the chapter

rng = np.random.default_rng(0)
for length in range(1, 60):
    start, end = rng.normal(size=(2, length))
    assert one_walk(start, end) == all_pairs(start, end)
for length in (128, 512):
    print(f"{length} places: {length * (length + 1) // 2:,} pairs, or one walk of {length} steps")

# With a limit on the length, a start that is too far back must be forgotten, even if it is the best so far. That needs a
# queue of starts; the library simply tries the (length * limit) pairs, all at once in NumPy.

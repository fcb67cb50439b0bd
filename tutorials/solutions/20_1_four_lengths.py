"""Chapter 20, exercise 1: the four lengths to pad to that waste least."""

import itertools

import numpy as np

rng = np.random.default_rng(0)
lengths = np.clip(rng.gamma(3.0, 12.0, 400).astype(int), 2, 128)  # of rows like those of the chapter
longest = int(np.ceil(lengths.max() / 8) * 8)


def places(choice):
    """Tokens and padding, if each row is padded to the shortest of the lengths that is long enough."""
    return np.sort(choice)[np.searchsorted(np.sort(choice), lengths)].sum()


candidates = range(8, longest, 8)
best = min(itertools.combinations(candidates, 3), key=lambda three: places([*three, longest]))
best = [*best, longest]
doubling = [16, 32, 64, longest]
for choice in (doubling, best):
    print(choice, f"{lengths.sum() / places(choice):.0%} real tokens")
assert places(best) <= places(doubling)

# The best lengths lie close where many rows are, and far apart in the long tail.
gaps = np.diff(best)
assert gaps[-1] >= gaps[0]

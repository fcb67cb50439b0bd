"""Chapter 10, exercise 3: the temperature as a number of choices."""

import matplotlib.pyplot as plt
import numpy as np

p = np.array([0.36, 0.25, 0.15, 0.10, 0.06, 0.04, 0.03, 0.01])  # the distribution of the chapter


def choices(p, temperature):
    """`e` to the power of the entropy: the perplexity of a draw."""
    logs = np.log(p) / temperature
    logs -= logs.max()  # so that no power is too large, at any temperature
    q = np.exp(logs) / np.exp(logs).sum()
    return np.exp(-np.sum(q * np.log(np.maximum(q, 1e-300))))


temperatures = np.logspace(-1.5, 2, 100)
numbers = np.array([choices(p, t) for t in temperatures])
print(f"at temperature 1: {choices(p, 1):.2f} of {len(p)} words")

plt.plot(temperatures, numbers)
plt.axvline(1, color="gray", linestyle=":")
plt.xscale("log")
plt.xlabel("temperature")
plt.ylabel("number of choices")
plt.show()

# It rises all the way: from 1, the greedy choice, to the number of words, where all are alike.
assert (np.diff(numbers) > 0).all()
assert np.isclose(numbers[0], 1, atol=0.01) and np.isclose(numbers[-1], len(p), atol=0.01)
# Equal words stay equal: for them the temperature has no effect.
assert np.isclose(choices(np.full(4, 0.25), 0.1), 4) and np.isclose(choices(np.full(4, 0.25), 10), 4)

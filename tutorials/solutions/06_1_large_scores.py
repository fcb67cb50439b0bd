"""Chapter 6, exercise 1: a softmax that survives large scores."""

import numpy as np


def softmax(scores):
    """The softmax of the chapter."""
    powers = np.exp(scores)
    return powers / powers.sum(axis=-1, keepdims=True)


def stable_softmax(scores):
    """The same shares: with the largest score subtracted, the largest power is e^0 = 1."""
    return softmax(scores - scores.max(axis=-1, keepdims=True))


# e^1000 is larger than any number that fits into 64 bits, so it becomes infinite, and infinite / infinite is
# "not a number". (errstate keeps NumPy from warning about what we do on purpose.)
large = np.array([1_000.0, 1_001.0, 1_002.0])
with np.errstate(over="ignore", invalid="ignore"):
    print("plain: ", softmax(large))
    assert np.isnan(softmax(large)).all()
print("stable:", stable_softmax(large).round(3))

# Subtracting c multiplies every power by the same e^-c, which cancels in the fraction.
small = np.array([0.0, 1.0, 2.0])
assert np.allclose(stable_softmax(small), softmax(small))
assert np.allclose(stable_softmax(large), softmax(small))

# A masked place still gets exactly nothing.
assert stable_softmax(np.array([0.0, -np.inf, 0.0])).tolist() == [0.5, 0, 0.5]

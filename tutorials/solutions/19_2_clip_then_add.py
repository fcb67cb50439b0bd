"""Chapter 19, exercise 2: the norm must be cut after the gradients are added up."""

import numpy as np


def clip(gradient):
    return gradient / max(np.linalg.norm(gradient), 1.0)


def angle(one, other):
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return np.degrees(np.arccos(cosine))


# Shares of two devices: the first has a text that the model finds very strange.
first, second = np.array([10.0, 0.0]), np.array([0.0, 1.0])
right = clip(first + second)
wrong = clip(first) + clip(second)
print(
    f"add, then clip: {right.round(3)}   clip, then add: {wrong}   angle between: {angle(right, wrong):.0f} degrees"
)
assert np.isclose(np.linalg.norm(right), 1) and np.isclose(np.linalg.norm(wrong), np.sqrt(2))
assert angle(right, wrong) > 39

# It may even go the other way: here each of three devices wants a little to the left, and one far to the right.
shares = [np.array([9.0])] + [np.array([-2.0])] * 3
right, wrong = clip(sum(shares)), sum(clip(share) for share in shares)
print(f"add, then clip: {right}   clip, then add: {wrong}")
assert right > 0 > wrong

# Where no norm is above 1, neither of them changes anything.
shares = [np.array([0.3, 0.1]), np.array([-0.2, 0.4])]
assert np.allclose(clip(sum(shares)), sum(clip(share) for share in shares))

"""Chapter 19, exercise 1: the mean of the means of three devices, and when it is right."""

import numpy as np


def mean_of_means(parts):
    return np.mean([part.mean() for part in parts])


def sum_of_shares(parts):
    tokens = sum(len(part) for part in parts)
    return sum(part.sum() / tokens for part in parts)


random = np.random.default_rng(0)
gradients = random.normal(size=8)  # one a token
parts = np.split(gradients, [5, 7])  # 5, 2 and 1 tokens
print(
    f"batch {gradients.mean():.4f}   shares {sum_of_shares(parts):.4f}   mean of means {mean_of_means(parts):.4f}"
)
assert np.isclose(sum_of_shares(parts), gradients.mean())
assert not np.isclose(mean_of_means(parts), gradients.mean())

# It is right if all devices have as many tokens ...
gradients = random.normal(size=9)
assert np.isclose(mean_of_means(np.split(gradients, 3)), gradients.mean())

# ... or if their means are equal, whatever their numbers of tokens: it is a mean with other weights of equal numbers.
parts = [part - part.mean() + 0.5 for part in parts]
assert np.isclose(mean_of_means(parts), np.concatenate(parts).mean())

# In between, the error is the covariance of tokens and means, over the mean number of tokens.
parts = np.split(random.normal(size=8), [5, 7])
tokens, means = np.array([5, 2, 1]), np.array([part.mean() for part in parts])
error = np.mean((tokens - tokens.mean()) * (means - means.mean())) / tokens.mean()
assert np.isclose(np.concatenate(parts).mean() - mean_of_means(parts), error)
print(f"the error is {error:.4f}")

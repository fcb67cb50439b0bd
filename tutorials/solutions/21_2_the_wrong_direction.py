"""Chapter 21, exercise 2: the angle between the gradient of the batch and that of the mean of its parts' means."""

import keras
import numpy as np

from keras_llm import GPT2Model, TokenCrossEntropy

LENGTH = 32
keras.utils.set_random_seed(0)
model = GPT2Model(50, LENGTH, 32, 1, 4, dropout=0.0)
rng = np.random.default_rng(0)
ids = rng.integers(1, 50, (4, LENGTH)).astype("int32")


def gradient(ids, labels):
    """Of the mean loss by all weights, in one vector: an SGD step of rate 1 takes just this away."""
    before = model.get_weights()
    model.compile(
        keras.optimizers.SGD(1.0), TokenCrossEntropy(), jit_compile=keras.backend.backend() == "jax"
    )
    model.train_on_batch(ids, labels)
    after = model.get_weights()
    model.set_weights(before)
    return np.concatenate([(one - other).ravel() for one, other in zip(before, after)])


def angle(lengths):
    """In degrees, for parts of one row each."""
    labels = np.where(np.arange(LENGTH) < np.array(lengths)[:, None], np.roll(ids, -1, axis=1), -100).astype(
        "int32"
    )
    whole = gradient(ids, labels)
    parts = [gradient(ids[i : i + 1], labels[i : i + 1]) for i in range(4)]
    shares = np.array(lengths) / sum(lengths)
    np.testing.assert_allclose(sum(share * part for share, part in zip(shares, parts)), whole, atol=1e-5)
    means = sum(parts) / 4
    cosine = whole @ means / np.linalg.norm(whole) / np.linalg.norm(means)
    return np.degrees(np.arccos(min(cosine, 1.0)))


equal, unequal = angle([16, 16, 16, 16]), angle([32, 1, 1, 1])
print(f"rows of equal length: {equal:.1f} degrees; 32 tokens beside 1, 1 and 1: {unequal:.1f} degrees")
assert equal < 0.5 < 20 < unequal

"""Chapter 3, exercise 1: what happens if nothing is ever wrong."""

import keras
import numpy as np
from keras import ops

from keras_llm.models.word2vec import NegativeSamplingLoss, SkipGram, SkipGramBatches

# 0-3 stand beside 4 or 5, and 6-9 beside 10 or 11. No two of 0-3 ever stand together.
random, lines = np.random.default_rng(0), []
for _ in range(1500):
    kind = 6 * random.integers(2)
    lines.append([kind + random.integers(4), kind + random.choice([4, 5])])


def train(negatives):
    keras.utils.set_random_seed(0)
    batches = SkipGramBatches(lines, 12, 256, negatives=negatives, subsample=1)
    model = SkipGram(12, 8)
    model.compile(keras.optimizers.Adam(0.02), NegativeSamplingLoss(), jit_compile=False)
    history = model.fit(batches.stream(), steps_per_epoch=120, shuffle=False, verbose=0)
    inputs = {"centers": np.array([0, 0]), "targets": np.array([[4, 5], [1, 2]])}
    says = ops.convert_to_numpy(ops.sigmoid(model(inputs))).mean(axis=1)
    return history.history["loss"][-1], *says


for negatives in (5, 0):
    loss, seen, never = train(negatives)
    print(f"{negatives} negatives: loss {loss:.2f}; says {seen:.2f} for pairs it saw, {never:.2f} for others")
    # Without negatives, "yes, always" has the lowest loss: all words of a kind run into one direction, and far out.
    assert seen > 0.6
    assert never < 0.3 if negatives else never > 0.9

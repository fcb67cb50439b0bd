"""Chapter 15, exercise 1: the gradient of a head is what goes in, times (what the model says - what is right)."""

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
pooled = rng.normal(size=(3, 5)).astype("float32")  # three texts, five numbers each
kernel, bias = rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=4).astype("float32")  # four labels
right = np.eye(4)[[2, 0, 3]]  # [3, 4]

logits = pooled @ kernel + bias
powers = np.exp(logits)
error = powers / powers.sum(axis=1, keepdims=True) - right  # [3, 4]
# The loss is a mean over the texts, so the gradient is one too.
by_hand = pooled.T @ error / 3, error.mean(axis=0)

layer = keras.layers.Dense(4)
layer.build((None, 5))
layer.set_weights([kernel, bias])
with tf.GradientTape() as tape:
    losses = keras.losses.categorical_crossentropy(right.astype("float32"), layer(pooled), from_logits=True)
    loss = tf.reduce_mean(losses)
gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
for ours, theirs in zip(by_hand, gradients):
    assert np.allclose(ours, theirs, atol=1e-5)

# The errors of a text sum to 0: what one label gains, the others lose. So do the columns of the gradient.
assert np.allclose(error.sum(axis=1), 0, atol=1e-6)
assert np.allclose(by_hand[0].sum(axis=1), 0, atol=1e-6)
print("equal to TensorFlow's gradients:", [array.shape for array in by_hand])

"""Chapter 6, exercise 2: the words of one text look at the words of another."""

import numpy as np

from keras_llm.layers import MultiHeadAttention

rng = np.random.default_rng(0)
source = rng.normal(size=(3, 4))  # three words that are looked at
target = rng.normal(size=(2, 4))  # two words that look
W_Q, W_K, W_V = rng.normal(size=(3, 4, 4))

# The queries come from one text, the keys and the values from the other.
scores = (target @ W_Q) @ (source @ W_K).T / np.sqrt(4)  # [2, 3]
weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
output = weights @ (source @ W_V)  # [2, 4]: one vector for each word that looks
print("weights", weights.shape, "output", output.shape)

layer = MultiHeadAttention(hidden_dim=4, num_heads=1, use_bias=False)
layer.build()
layer.query_projection.kernel.assign(W_Q)
layer.key_projection.kernel.assign(W_K)
layer.value_projection.kernel.assign(W_V)
layer.output_projection.kernel.assign(np.eye(4))
target, source = target[None].astype("float32"), source[None].astype("float32")  # batches of one text
ours, shares = layer(target, source=source, return_attention=True)
assert np.allclose(ours[0], output, atol=1e-5)
assert np.allclose(shares[0, 0], weights, atol=1e-5)

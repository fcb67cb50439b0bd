"""Chapter 18, exercise 2: query, key and value of GPT-2 stand side by side in one tensor."""

import pathlib
import tempfile

import numpy as np
from safetensors.numpy import load_file

from keras_llm.models.gpt2 import GPT2Model

model = GPT2Model(vocabulary_size=50, context_length=16, hidden_dim=8, num_layers=2, num_heads=2)
rng = np.random.default_rng(0)
for variable in model.trainable_variables:
    variable.assign(rng.normal(size=variable.shape))

with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    tensors = load_file(pathlib.Path(folder, "model.safetensors"))

for i, block in enumerate(model.blocks):
    weight = tensors[f"transformer.h.{i}.attn.c_attn.weight"]
    bias = tensors[f"transformer.h.{i}.attn.c_attn.bias"]
    assert weight.shape == (8, 24) and bias.shape == (24,)  # [in, 3 * out]
    attention = block.attention
    projections = (attention.query_projection, attention.key_projection, attention.value_projection)
    for layer, kernel, its_bias in zip(projections, np.split(weight, 3, axis=1), np.split(bias, 3)):
        assert np.array_equal(layer.kernel, kernel)  # and not its transpose
        assert not np.array_equal(layer.kernel, kernel.T)
        assert np.array_equal(layer.bias, its_bias)

# One product with the large matrix gives all three: that is why the original keeps them together.
x = rng.normal(size=(5, 8)).astype("float32")
together = x @ weight + bias
alone = np.concatenate([np.asarray(layer(x)) for layer in projections], axis=1)
assert np.allclose(together, alone, atol=1e-5)
print("c_attn", weight.shape, "is query, key and value side by side")

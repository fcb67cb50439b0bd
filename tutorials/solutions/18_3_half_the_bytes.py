"""Chapter 18, exercise 3: a checkpoint in float16."""

import pathlib
import shutil
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file

from keras_llm.models.bert import BertEncoder

encoder = BertEncoder(vocabulary_size=500, context_length=32, hidden_dim=32, num_layers=2, num_heads=2)
rng = np.random.default_rng(0)
for variable in encoder.trainable_variables:
    variable.assign(rng.normal(size=variable.shape, scale=0.2) + variable.path.endswith("gamma"))

with tempfile.TemporaryDirectory() as name:
    full, half = pathlib.Path(name, "full"), pathlib.Path(name, "half")
    encoder.save_pretrained(full)
    tensors = load_file(full / "model.safetensors")
    half.mkdir()
    shutil.copy(full / "config.json", half)
    save_file({key: tensor.astype("float16") for key, tensor in tensors.items()}, half / "model.safetensors")
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (full, half)]
    again = BertEncoder.from_pretrained(half)  # in float32 again, but the digits that were cut off are gone

# float16 keeps 11 binary digits: a weight is off by at most 1 / 2048 of itself (very small ones aside).
for variable, rounded in zip(encoder.trainable_variables, again.trainable_variables):
    variable, rounded = np.asarray(variable), np.asarray(rounded)
    assert rounded.dtype == "float32" and np.all(np.abs(variable - rounded) <= np.abs(variable) / 2048 + 1e-7)

token_ids = rng.integers(1, 500, size=(4, 32))
ours, theirs = (np.asarray(model(token_ids)["sequence_output"]) for model in (encoder, again))
difference = np.abs(ours - theirs).max() / np.abs(ours).max()
print(f"{sizes[0]:,} and {sizes[1]:,} bytes; the outputs differ by {difference:.1e} of the largest")
assert 0.45 < sizes[1] / sizes[0] < 0.55 and 0 < difference < 0.01

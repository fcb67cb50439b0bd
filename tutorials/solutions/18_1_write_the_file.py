"""Chapter 18, exercise 1: a safetensors file, written by hand."""

import json
import pathlib
import shutil
import struct
import tempfile

import keras
import numpy as np
from safetensors.numpy import load_file

from keras_llm.models.bert import BertEncoder


def write_safetensors(path, tensors):
    """Eight bytes with the length of the table, the table as JSON, and all numbers one after the other."""
    table, start = {}, 0
    for name, tensor in tensors.items():
        end = start + 4 * tensor.size
        table[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)  # so that the numbers begin at a multiple of eight
    numbers = b"".join(tensor.astype("<f4").tobytes() for tensor in tensors.values())  # row after row
    path.write_bytes(struct.pack("<Q", len(header)) + header + numbers)


keras.utils.set_random_seed(0)
encoder = BertEncoder(vocabulary_size=50, context_length=16, hidden_dim=8, num_layers=1, num_heads=2)
with tempfile.TemporaryDirectory() as name:
    original, own = pathlib.Path(name, "original"), pathlib.Path(name, "own")
    encoder.save_pretrained(original)
    tensors = load_file(original / "model.safetensors")

    own.mkdir()
    shutil.copy(original / "config.json", own)
    write_safetensors(own / "model.safetensors", tensors)
    read = load_file(own / "model.safetensors")
    again = BertEncoder.from_pretrained(own)

assert read.keys() == tensors.keys() and all(np.array_equal(read[key], tensors[key]) for key in tensors)
assert all(np.array_equal(a, b) for a, b in zip(encoder.trainable_variables, again.trainable_variables))
print(f"{len(read)} tensors written and read, every bit equal")

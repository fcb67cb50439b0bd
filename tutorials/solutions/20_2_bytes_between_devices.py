"""Chapter 20, exercise 2: what devices exchange in a step, data parallel and model parallel."""

from keras_llm.models.gpt2 import PRESETS

sizes = PRESETS["mini"]
width, blocks, length = sizes["hidden_dim"], sizes["num_layers"], sizes["context_length"]
weights = (sizes["vocabulary_size"] + length) * width + blocks * (12 * width**2 + 13 * width) + 2 * width

# A sum over devices of an array of n bytes sends about 2 n bytes from each of them (a ring: all pieces once to be added
# up, once to be handed out).


def data_parallel():
    """One sum of all gradients, whatever the batch."""
    return 2 * 4 * weights


def model_parallel(rows):
    """Four sums of the activations a block: behind attention and feed-forward layer, forward and backward."""
    return blocks * 4 * 2 * 4 * rows * length * width


equal = data_parallel() / model_parallel(1)
print(f"{weights:,} weights: data parallel {data_parallel() / 1e6:.0f} MB a step")
for rows in (1, 8, 64):
    print(f"model parallel, {rows:3} rows: {model_parallel(rows) / 1e6:.0f} MB")
print(f"Both exchange as much at {equal:.1f} rows.")
assert model_parallel(int(equal) + 1) > data_parallel() > model_parallel(int(equal))
# So model parallelism is for models that do not fit otherwise, and for devices with fast lines between them.

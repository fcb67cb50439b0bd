"""Chapter 9, exercise 1: the number of parameters of a GPT-2, from its sizes."""

from keras_llm.models.gpt2 import PRESETS, GPT2Model


def parameters(vocabulary_size, context_length, hidden_dim, num_layers, num_heads=None):
    """The number of heads has no effect: heads only cut the same matrices into slices."""
    embeddings = (vocabulary_size + context_length) * hidden_dim  # used again for the scores: counted once
    attention = 4 * (hidden_dim * hidden_dim + hidden_dim)  # query, key, value, output; with biases
    inner = hidden_dim * 4 * hidden_dim + 4 * hidden_dim
    outer = 4 * hidden_dim * hidden_dim + hidden_dim
    norm = 2 * hidden_dim  # scale and shift
    block = attention + inner + outer + 2 * norm
    return embeddings + num_layers * block + norm


nano = PRESETS["nano"]
print(f"nano: {parameters(**nano):,}")
assert parameters(**nano) == GPT2Model.from_preset("nano").count_params()
assert parameters(**nano) == GPT2Model.from_preset("nano", num_heads=8).count_params()

smallest = {"vocabulary_size": 50257, "context_length": 1024, **PRESETS["gpt2"]}
print(f"gpt2: {parameters(**smallest):,}")
assert parameters(**smallest) == 124_439_808

# Where they are: in the nano model a quarter is the table of token vectors, in GPT-2 almost a third.
for name, sizes in (("nano", nano), ("gpt2", smallest)):
    table = sizes["vocabulary_size"] * sizes["hidden_dim"]
    print(f"{name}: {table / parameters(**sizes):.0%} of the parameters are the table of token vectors")

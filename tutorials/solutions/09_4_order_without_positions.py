"""Chapter 9, exercise 4: what a GPT-2 without positions knows about order."""

import keras
import numpy as np

from keras_llm.models.gpt2 import GPT2Model

V = 20


def without_positions(num_layers):
    keras.utils.set_random_seed(0)
    model = GPT2Model(
        vocabulary_size=V, context_length=8, hidden_dim=32, num_layers=num_layers, num_heads=2, dropout=0.0
    )
    for i, variable in enumerate(model.trainable_variables):  # larger numbers than fresh ones: easier to see
        variable.assign(np.random.default_rng(i).normal(size=variable.shape, scale=0.3))
    table = model.position_embedding.embeddings
    table.assign(np.zeros(table.shape))
    return model


def change_of_last_answer(model):
    """What another order of the tokens before the last one does to the scores of the next token."""
    row = np.array([[3, 1, 4, 15, 9, 2]])
    shuffled = row[:, [2, 4, 0, 3, 1, 5]]
    return np.abs(model(row)[0, -1] - model(shuffled)[0, -1]).max()


one, two = (change_of_last_answer(without_positions(num_layers)) for num_layers in (1, 2))
print(f"one block {one:.6f}, two blocks {two:.3f}")
assert one < 1e-4 < 0.01 < two

# In the first block, the last token sees all tokens before it, as a bag. But so does every other token with *its*
# past: the third token sees the bag of the first three. After the first block, the vector of a token therefore
# depends on what stood before it, and the second block of the last token reads these vectors. The causal mask
# itself tells the order. That is why a GPT without positions still learns something; positions make it easy.

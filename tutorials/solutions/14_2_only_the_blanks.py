"""Chapter 14, exercise 2: scores at the blanks alone, and what that saves."""

import keras
import numpy as np

from keras_llm.models.bert import BertEncoder, BertMaskedLM

V, LENGTH, WIDTH = 300, 64, 32
keras.utils.set_random_seed(0)
model = BertMaskedLM(BertEncoder(V, LENGTH, WIDTH, num_layers=1, num_heads=2, dropout=0.0, pooler=False))
rng = np.random.default_rng(0)
token_ids = rng.integers(5, V, size=(4, LENGTH))
places = np.sort(np.stack([rng.choice(LENGTH, size=10, replace=False) for _ in range(4)]))  # [4, 10]

everywhere = np.asarray(model(token_ids))  # [4, 64, V]
at_blanks = np.asarray(model({"token_ids": token_ids, "masked_positions": places}))  # [4, 10, V]
assert everywhere.shape == (4, 64, V) and at_blanks.shape == (4, 10, V)
for row in range(4):
    assert np.allclose(at_blanks[row], everywhere[row, places[row]], atol=1e-5)


# A score is a product of two vectors: WIDTH multiplications for each token of the vocabulary, at each place. The layer
# before it (`transform`) has WIDTH * WIDTH more.
def multiplications(num_places, width, vocabulary_size):
    return num_places * (width * width + width * vocabulary_size)


full, blanks = (multiplications(places, 128, 2048) for places in (64, 10))
blocks = 2 * 64 * 12 * 128 * 128  # the matrices of chapter 14's two blocks, without the attention itself
print(f"a row of 64 tokens in chapter 14: {full:,} multiplications everywhere, {blanks:,} at the blanks")
print(
    f"the two blocks before need {blocks:,}: {full / blocks:.0%} of that is added, or {blanks / blocks:.0%}"
)
assert full / blanks == 6.4

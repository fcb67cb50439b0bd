"""Chapter 7, exercise 1: a decoder that never looks at the source."""

import keras
import numpy as np

from keras_llm.models.transformer import Transformer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

# A language of ten words; the translation of a word is the word with the number 10 more.
rng = np.random.default_rng(0)
words = rng.integers(3, 13, (512, 4)).astype("int32")
inputs = {"source_ids": words, "target_ids": np.pad(words[:, :-1] + 10, ((0, 0), (1, 0)), constant_values=1)}

losses = {}
for looks in (True, False):
    keras.utils.set_random_seed(0)
    model = Transformer(23, None, 8, hidden_dim=32, num_layers=1, num_heads=2, dropout=0.0, norm_first=True)
    if not looks:  # the output of the cross-attention is 0, and stays so
        output = model.decoder_blocks[0].cross_attention.output_projection
        output.set_weights([np.zeros((32, 32)), np.zeros(32)])
        output.trainable = False
    model.compile(AdamW(1e-2), TokenCrossEntropy(), jit_compile=False)
    losses[looks] = model.fit(inputs, words + 10, epochs=30, batch_size=64, verbose=0).history["loss"][-1]
    other = {**inputs, "source_ids": words[::-1].copy()}
    changed = np.abs(np.asarray(model(inputs)) - np.asarray(model(other))).max() > 1e-6
    print(
        f"looks at the source: {looks}; loss {losses[looks]:.3f}; another source changes the output: {changed}"
    )
    assert changed == looks

# Without looking it can only learn which words there are: the loss of guessing one of ten is log 10.
print(f"log 10 = {np.log(10):.3f}")
assert losses[True] < 0.1 and losses[False] > 0.9 * np.log(10)

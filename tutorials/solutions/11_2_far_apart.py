"""Chapter 11, exercise 2: a link over six letters, which counting cannot learn and attention can."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets.batches import TokenWindows
from keras_llm.evaluation.language import evaluate_language_model
from keras_llm.training.losses import TokenLoss

LETTERS, LENGTH = 8, 7  # the id 8 is the space before each sentence


def make_text(sentences, seed):
    """Sentences of random letters, in which the last is the first: ids `[sentences * 8]`."""
    rows = np.random.default_rng(seed).integers(0, LETTERS, (sentences, LENGTH))
    rows[:, -1] = rows[:, 0]
    return np.insert(rows, 0, LETTERS, axis=1).ravel()


train, new = make_text(40_000, 1), make_text(2_000, 2)

# Who sees all: six letters are free, each costs log 8; the last letter and the space are sure.
sees_all = 6 * np.log(8) / 8
# Who looks back three letters does not see the first letter any more when the last is asked: seven cost log 8. The space
# too is in doubt: four letters in a row may be the last ones of a sentence or stand in its middle. At least:
looks_back = 7 * np.log(8) / 8
counted = NgramModel(4, LETTERS + 1).fit(train).loss(new)

keras.utils.set_random_seed(0)
model = GPT2Model(LETTERS + 1, context_length=16, hidden_dim=32, num_layers=2, num_heads=2, dropout=0.0)
model.compile(AdamW(5e-3), TokenCrossEntropy(), metrics=[TokenLoss()], jit_compile=True)
# Not shuffled, each window is two whole sentences: every last letter is asked in the same window as its first.
windows = TokenWindows(train, 16, batch_size=64, shuffle=False)
model.fit(windows.stream(), epochs=5, shuffle=False, verbose=0)
attended = evaluate_language_model(model, new)["loss"]

print(f"best when all is seen {sees_all:.3f}; best when three letters are seen, at least {looks_back:.3f}")
print(f"4-gram {counted:.3f}; GPT-2 {attended:.3f}")
assert counted > looks_back - 0.02
assert sees_all - 0.02 < attended < looks_back

# In the first passes (try verbose=2) the loss stands at what three letters give; then attention finds the first letter.
# No table of three letters can hold it, however long the text is. A table of seven letters could: it would have
# 8 to the power of 7 rows, two millions, and need a text that fills them. Attention needs one look.

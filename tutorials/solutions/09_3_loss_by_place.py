"""Chapter 9, exercise 3: at the start of a window a model knows nothing of the text, and pays for it."""

import os

import keras
import matplotlib.pyplot as plt
import numpy as np

from keras_llm.datasets import load
from keras_llm.datasets.batches import TokenWindows
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import TokenCrossEntropy, token_losses
from keras_llm.training.optimizers import AdamW, WarmupCosine

FULL = os.environ.get("KERAS_LLM_PROFILE", "full") == "full"
V, CONTEXT, STEPS = 300, 32, 1000 if FULL else 200  # few tokens, almost letters: learned soon

texts = {split: [row["text"] for row in load("docstrings", split)][:60] for split in ("train", "validation")}
tokenizer = Tokenizer.train(texts["train"], kind="byte_bpe", vocabulary_size=V)
ids = {split: np.concatenate(tokenizer.encode(texts[split])) for split in texts}

keras.utils.set_random_seed(0)
model = GPT2Model.from_preset(
    "nano", vocabulary_size=V, context_length=CONTEXT, hidden_dim=64, num_layers=2, dropout=0.0
)
model.compile(AdamW(WarmupCosine(5e-3, STEPS // 5, STEPS)), TokenCrossEntropy(), jit_compile=True)
model.fit(TokenWindows(ids["train"], CONTEXT, 16), steps_per_epoch=STEPS, shuffle=False, verbose=0)

# The loss of each token, summed by its place in the window, over all windows of the validation text.
total, count = np.zeros(CONTEXT), np.zeros(CONTEXT)
for token_ids, labels in TokenWindows(ids["validation"], CONTEXT, 64, shuffle=False):
    losses, counted = token_losses(labels, model(token_ids))  # [batch, CONTEXT] each
    total += np.asarray(losses).sum(axis=0)
    count += np.asarray(counted).sum(axis=0)
by_place = total / count
first, later = by_place[0], by_place[CONTEXT // 2 :].mean()
print(f"first place {first:.2f}, second half {later:.2f}, all {total.sum() / count.sum():.2f} nats a token")

plt.plot(range(1, CONTEXT + 1), by_place)
plt.xlabel("place in the window")
plt.ylabel("loss (nats a token)")
plt.show()

# The first place has one token before it: no more than a pair, as a 2-gram. Most of the gain is made within a
# few tokens. The longer the windows, the smaller is the share of the places that know little.
assert first > later

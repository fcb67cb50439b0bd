"""Chapter 12, exercise 1: the rank of what adapters add to a kernel."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
from keras_llm.training.lora import add_lora, merge_lora

keras.utils.set_random_seed(0)
RANK = 4
sizes = {"vocabulary_size": 30, "context_length": 16, "hidden_dim": 32, "num_layers": 1, "num_heads": 2}
model = GPT2Model(**sizes, dropout=0.0)
before = np.asarray(model.blocks[0].feed_forward.inner.kernel)

# A text to learn: each token is followed by the one three further on.
token_ids = (np.arange(16) * 3 + np.arange(64)[:, None]) % 30
labels = (token_ids + 3) % 30
add_lora(model, RANK, alpha=8, layers=["query", "value", "inner", "outer"])
model.compile(AdamW(1e-2), TokenCrossEntropy(), jit_compile=False)
history = model.fit(token_ids, labels, batch_size=16, epochs=15, verbose=0)
print(f"loss {history.history['loss'][0]:.2f} -> {history.history['loss'][-1]:.2f}")

after = np.asarray(merge_lora(model).blocks[0].feed_forward.inner.kernel)
change = after - before  # [32, 128]
u, singular, v = np.linalg.svd(change, full_matrices=False)
print("singular values:", np.round(singular[: RANK + 2], 4))
assert (singular[:RANK] > 1e-3).all() and (
    singular[RANK:] < 1e-5
).all()  # exactly the rank that was asked for

# The best change of a lower rank keeps the largest singular values (Eckart and Young).
for rank in (1, 2, 4):
    best = u[:, :rank] * singular[:rank] @ v[:rank]
    left = np.linalg.norm(change - best) / np.linalg.norm(change)
    print(f"rank {rank}: {1 - left**2:.3f} of the change's squares")
assert left < 1e-4

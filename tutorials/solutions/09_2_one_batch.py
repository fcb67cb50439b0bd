"""Chapter 9, exercise 2: a model that works can learn one batch by heart; one with a mistake cannot."""

import keras
import numpy as np

from keras_llm.models.gpt2 import GPT2Model
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

V, CONTEXT, BATCH = 100, 16, 8
text = np.random.default_rng(0).integers(0, V, (BATCH, CONTEXT + 1))  # even dice can be learned by heart
token_ids, next_ids = text[:, :-1], text[:, 1:]


def train(labels_of_step, steps=80):
    """The loss of the last step, for a fresh model."""
    keras.utils.set_random_seed(0)
    model = GPT2Model(
        vocabulary_size=V, context_length=CONTEXT, hidden_dim=64, num_layers=1, num_heads=2, dropout=0.0
    )
    model.compile(AdamW(5e-3, weight_decay=0.0), TokenCrossEntropy())
    for step in range(steps):
        loss = model.train_on_batch(token_ids, labels_of_step(step))
    return float(loss)


# The loss must fall to almost 0. Each row starts with another token, so every token has its own past.
assert len(set(token_ids[:, 0])) == BATCH
right = train(lambda step: next_ids)
print(f"right labels: {right:.3f}")
assert right < 0.1

# A mistake, for instance labels that got out of step with their texts by a shuffle: it stays high.
rng = np.random.default_rng(1)
wrong = train(lambda step: next_ids[rng.permutation(BATCH)])
print(f"labels of other rows: {wrong:.3f}")
assert wrong > 1.0

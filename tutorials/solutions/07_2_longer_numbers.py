"""Chapter 7, exercise 2: longer texts than any that was trained on."""

import keras
import numpy as np

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.generation import BeamSearch
from keras_llm.models.transformer import Transformer
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW, WarmupCosine

# Digits in, digits reversed out: a rule without a limit, learned from texts with one.
rng = np.random.default_rng(0)


def rows(count, shortest, longest):
    return [(rng.integers(0, 10, rng.integers(shortest, longest + 1)) + 3).tolist() for _ in range(count)]


def right(search, sources):
    found = search.search_ids(sources, num_beams=1, max_new_tokens=12, start_id=1, end_id=2)
    return np.mean([own[0].text == source[::-1] for own, source in zip(found, sources)])


sources = rows(2000, 1, 5)
features = {"source_ids": sources, "target_ids": [[1, *row[::-1]] for row in sources]}
batches = PaddedBatches(features, [[*row[::-1], 2] for row in sources], 64, lengths=(6,))
keras.utils.set_random_seed(0)
model = Transformer(13, None, 16, hidden_dim=64, num_layers=2, num_heads=4, dropout=0.0, norm_first=True)
model.compile(AdamW(WarmupCosine(3e-3, 40, 400)), TokenCrossEntropy(), jit_compile=False)
model.fit(batches.stream(), steps_per_epoch=400, shuffle=False, verbose=0)

search = BeamSearch(model)
shares = {
    "up to 5 digits": right(search, rows(100, 1, 5)),
    "8 digits": right(search, rows(100, 8, 8)),
}
print({name: f"{share:.2f}" for name, share in shares.items()})
# Places 6 to 8 were never seen in training, neither read nor written: the rule does not reach there.
assert shares["up to 5 digits"] > 0.9 and shares["8 digits"] < 0.1

"""Chapter 12, exercise 3: adapters in attention, or in the feed-forward layers."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model, TokenCrossEntropy
from keras_llm.training.lora import add_lora

keras.utils.set_random_seed(0)
sizes = {"vocabulary_size": 20, "context_length": 16, "hidden_dim": 32, "num_layers": 2, "num_heads": 2}


def texts(step, rows, seed):
    """Each token is followed by the one `step` further on."""
    first = np.random.default_rng(seed).integers(0, 20, (rows, 1))
    token_ids = (first + np.arange(17) * step) % 20
    return token_ids[:, :-1], token_ids[:, 1:]


def train(model, data, rate, epochs):
    model.compile(AdamW(rate), TokenCrossEntropy(), jit_compile=False)
    return model.fit(*data, batch_size=32, epochs=epochs, verbose=0).history["loss"][-1]


# The base model knows texts of step 3; the adapters have to teach it those of step 7.
base = GPT2Model(**sizes, dropout=0.0)
print(f"base: loss {train(base, texts(3, 256, 0), 5e-3, 6):.3f}")
weights = base.get_weights()

found = {}
for layers, rank in ((("query", "value"), 10), (("inner", "outer"), 4)):
    model = GPT2Model(**sizes, dropout=0.0)
    model.set_weights(weights)
    add_lora(model, rank, alpha=2 * rank, layers=layers)
    count = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    train(model, texts(7, 256, 1), 1e-2, 8)
    inputs, labels = texts(7, 64, 2)
    found[layers] = float(TokenCrossEntropy()(labels, model(inputs)))
    print(f"{' and '.join(layers)}: {count:,} weights, loss on the new texts {found[layers]:.3f}")

# What follows a token is the work of the feed-forward layers; where to look is the work of attention. Here only the first
# changes between the tasks, so the same number of weights does more there. For other tasks it is the other way round.
assert found["inner", "outer"] < found["query", "value"]

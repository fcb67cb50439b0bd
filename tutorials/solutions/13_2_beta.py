"""Chapter 13, exercise 2: how far the model goes from its reference, by beta."""

import keras
import numpy as np

from keras_llm import AdamW, GPT2Model
from keras_llm.training.preferences import PairScorer, PreferenceLoss

keras.utils.set_random_seed(0)
sizes = {"vocabulary_size": 30, "context_length": 8, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
start = GPT2Model(**sizes, dropout=0.0).get_weights()

# A taste: of two answers of two tokens, the one with the smaller numbers is the better.
generator = np.random.default_rng(0)
answers = np.sort(generator.permuted(np.tile(np.arange(2, 30), (128, 1)), axis=1)[:, :4], axis=1)  # [128, 4]
prompts = generator.integers(0, 30, (128, 3))
is_answer = np.tile([0, 0, 0, 1, 1], (128, 1))
pairs = {
    "chosen_ids": np.concatenate([prompts, answers[:, :2]], axis=1),
    "rejected_ids": np.concatenate([prompts, answers[:, 2:]], axis=1),
    "chosen_answer": is_answer,
    "rejected_answer": is_answer,
}

distances = {}
for beta in (0.02, 0.1, 1.0):
    model = GPT2Model(**sizes, dropout=0.0)
    model.set_weights(start)
    scorer = PairScorer(model)
    reference = np.asarray(scorer(pairs))  # [128, 2]
    scorer.compile(AdamW(1e-2), PreferenceLoss(beta), jit_compile=False)
    scorer.fit(pairs, reference, batch_size=32, epochs=12, verbose=0)
    change = np.asarray(scorer(pairs)) - reference
    distances[beta] = float(np.abs(change).mean())
    right = float((change[:, 0] > change[:, 1]).mean())
    print(
        f"beta {beta}: {distances[beta]:.2f} nats an answer from the reference, {right:.2f} of the pairs right"
    )

# The reward is beta times the way: with a large beta a short way is enough to settle the pairs.
assert distances[0.02] > distances[0.1] > distances[1.0]

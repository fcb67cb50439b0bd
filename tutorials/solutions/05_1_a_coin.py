"""Chapter 5, exercise 1: the lowest perplexity that there is."""

import keras
import numpy as np

from keras_llm.models import lstm

random = np.random.default_rng(0)
rows = [{"text": " ".join(random.choice(["a", "b"], 33, p=[0.8, 0.2]))} for _ in range(120)]
tokenizer = lstm.train_tokenizer(rows)
X, y = lstm.preprocess_data(rows, tokenizer, None, 32, "language_model")

# No model can know more than 0.8 and 0.2: the loss is the entropy, and the perplexity less than 2.
entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
keras.utils.set_random_seed(0)
model = lstm.build_model("language_model", tokenizer.vocabulary_size, embedding_dim=4, units=4)
lstm.train_model(model, X[:100], y[:100], X[100:], y[100:], epochs=12, batch_size=20, learning_rate=0.02)
loss = lstm.evaluate_model(model, X[100:], y[100:])["loss"]
print(f"perplexity {np.exp(loss):.3f}, the best possible {np.exp(entropy):.3f}")
assert abs(loss - entropy) < 0.06

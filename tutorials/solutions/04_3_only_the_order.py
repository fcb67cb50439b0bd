"""Chapter 4, exercise 3: the label is the first letter, so only the order tells."""

import keras
import numpy as np

from keras_llm.models import lstm

LETTERS, LENGTH = "abcd", 8


def random_rows(n, seed):
    letters = np.random.default_rng(seed).choice(list(LETTERS), size=(n, LENGTH))
    return [{"text": " ".join(row), "label": row[0]} for row in letters]


rows = {
    split: random_rows(n, seed)
    for seed, (split, n) in enumerate(zip("train validation test".split(), (2_000, 200, 200)))
}
tokenizer, labels = lstm.train_tokenizer(rows["train"]), lstm.label_names(rows["train"])
arrays = {split: lstm.preprocess_data(rows[split], tokenizer, labels, LENGTH, "classifier") for split in rows}

# The best that a bag can do: say the letter that comes most often. It is the first one in more than a quarter of the
# rows (a letter that comes k times is the first with probability k / 8), but it can never be sure.
best_of_bag = np.mean([max(row["text"].count(letter) for letter in LETTERS) / LENGTH for row in rows["test"]])
hits = np.mean([max(LETTERS, key=row["text"].count) == row["label"] for row in rows["test"]])
print(f"bag of words: at best {best_of_bag:.2f} expected, {hits:.2f} on these rows")

keras.utils.set_random_seed(0)
model = lstm.build_model("classifier", tokenizer.vocabulary_size, len(labels), embedding_dim=8, units=16)
lstm.train_model(model, *arrays["train"], *arrays["validation"], epochs=12, batch_size=32, learning_rate=0.01)
accuracy = lstm.evaluate_model(model, *arrays["test"])["accuracy"]
print(f"LSTM: {accuracy:.2f}")

# It kept the first letter through seven others that look just the same.
assert hits < 0.6 and accuracy > 0.95

"""Chapter 5, exercise 2: what changes while the lower layers are frozen."""

import keras
import numpy as np

from keras_llm.datasets import load
from keras_llm.models import lstm

rows = load("topics_en", "validation")
tokenizer, labels = lstm.train_tokenizer(rows, 300), lstm.label_names(rows)
X, y = lstm.preprocess_data(rows, tokenizer, labels, 12, "classifier")
keras.utils.set_random_seed(0)
sizes = {"embedding_dim": 4, "units": 4}
reader = lstm.build_model("language_model", tokenizer.vocabulary_size, **sizes)
model = lstm.build_model("classifier", tokenizer.vocabulary_size, len(labels), **sizes)
lstm.transfer_weights(reader, model)

for frozen in (True, False):
    before = {layer.name: layer.get_weights() for layer in model.layers}
    for layer in model.layers[:-1]:
        layer.trainable = not frozen
    lstm.train_model(model, X, y, X, y, epochs=1, batch_size=16)
    for layer in model.layers:
        moved = any(not np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights()))
        print(f"frozen: {frozen!s:5}  {layer.name:10} {'moved' if moved else 'stayed'}")
        if layer.weights:
            assert moved == (not frozen or layer.name == "output")

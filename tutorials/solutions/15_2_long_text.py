"""Chapter 15, exercise 2: a text of 300 tokens in windows of 64."""

import keras
import numpy as np

from keras_llm.datasets.windows import join_scores, text_windows
from keras_llm.models.bert import BertClassifier, BertEncoder

CLASS, SEPARATOR = 2, 3
text = np.random.default_rng(0).integers(5, 100, size=300).tolist()

# A window has room for 62 tokens beside [CLS] and [SEP]. The first takes 62; each one after it brings 62 - 16 = 46
# new ones. 300 - 62 = 238 are left, and 238 / 46 = 5.2: six more, seven in all.
windows, first = [], 0
while True:
    windows.append([CLASS, *text[first : first + 62], SEPARATOR])
    if first + 62 >= len(text):
        break
    first += 46
assert len(windows) == 7
assert windows == text_windows(text, 64, 16, CLASS, SEPARATOR)

# Nothing is lost: without what a window shares with the one before it, the windows are the text again.
again = windows[0][1:-1] + [index for window in windows[1:] for index in window[1:-1][16:]]
assert again == text

keras.utils.set_random_seed(0)
encoder = BertEncoder(vocabulary_size=100, context_length=64, hidden_dim=16, num_layers=1, num_heads=2)
model = BertClassifier(encoder, num_classes=3)
# Fresh weights are so small that all windows would get almost the same shares; ours are ten times as large.
for variable in model.trainable_variables:
    variable.assign(10 * variable)
rows = np.zeros((7, 64), "int32")
for row, window in zip(rows, windows):
    row[: len(window)] = window
shares = np.asarray(keras.ops.softmax(model(rows)))  # [7, 3]
mean = shares.mean(axis=0)
print(shares.round(2), "mean", mean.round(2))
assert np.allclose(join_scores(shares, [0] * 7, 1)[0], mean) and np.isclose(mean.sum(), 1, atol=1e-5)

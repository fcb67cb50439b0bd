"""Chapter 15, exercise 3: a lazy model and a rare label."""

import numpy as np

from keras_llm.evaluation.classification import class_table, classification_metrics

right = [0] * 95 + [1] * 5  # 0 is fine, 1 is spam
lazy = [0] * 100
metrics = classification_metrics(right, lazy, ["fine", "spam"])
print(class_table(metrics))

# By hand. Fine: 100 times said, 95 times true, all 95 found: precision 0.95, recall 1, F1 = 2 * 0.95 / 1.95.
# Spam: never said, nothing found: recall 0 and F1 0. The mean of both F1 shows what the accuracy hides.
fine = 2 * 0.95 * 1 / (0.95 + 1)
assert metrics["accuracy"] == 0.95
assert np.isclose(metrics["per_class"]["fine"]["f1"], fine) and np.isclose(fine, 0.974, atol=1e-3)
assert metrics["per_class"]["spam"]["f1"] == 0
assert np.isclose(metrics["macro"]["f1"], fine / 2)

# A model that finds 4 of the 5, and takes 6 good texts for spam, has a lower accuracy and is much more use.
useful = [0] * 89 + [1] * 6 + [1] * 4 + [0]
better = classification_metrics(right, useful, ["fine", "spam"])
spam = 2 * (4 / 10) * (4 / 5) / (4 / 10 + 4 / 5)
assert better["accuracy"] == 0.93 and np.isclose(better["per_class"]["spam"]["f1"], spam)
assert better["macro"]["f1"] > metrics["macro"]["f1"]
print(f"accuracy {metrics['accuracy']} and {better['accuracy']}", end="; ")
print(f"macro F1 {metrics['macro']['f1']:.3f} and {better['macro']['f1']:.3f}")

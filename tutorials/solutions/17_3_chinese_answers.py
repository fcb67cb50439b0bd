"""Chapter 17, exercise 3: exact match and F1 of Chinese answers, by characters."""

from collections import Counter

import numpy as np

from keras_llm.evaluation.answers import answer_metrics


def characters(text):
    """Each letter or digit by itself; punctuation and spaces do not count. (For text without Latin words.)"""
    return [character for character in text if character.isalnum()]


def f1(said, right):
    said, right = Counter(characters(said)), Counter(characters(right))
    common = (said & right).total()
    return 2 * common / (said.total() + right.total()) if common else 0.0


# "In the red box." and "the red box": 5 and 3 characters, 3 in common: 2 * 3 / (5 + 3) = 0.75.
said = ["在红盒子里。", "红盒子", "红盒子！", "杯子"]
right = ["红盒子", "红盒子", "红盒子", "红盒子"]
by_hand = [0.75, 1, 1, 2 * 1 / (2 + 3)]
assert np.allclose([f1(a, b) for a, b in zip(said, right)], by_hand)
exact = [characters(a) == characters(b) for a, b in zip(said, right)]
assert exact == [False, True, True, False]

metrics = answer_metrics(said, [[text] for text in right])
assert np.isclose(metrics["f1"], np.mean(by_hand)) and np.isclose(metrics["exact_match"], np.mean(exact))
print(metrics)

# Cut at spaces, as for English, each answer would be one word: right or wrong, and nothing between.
assert [len(text.split()) for text in said] == [1, 1, 1, 1]

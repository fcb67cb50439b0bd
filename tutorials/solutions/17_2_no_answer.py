"""Chapter 17, exercise 2: "no answer", the pair (0, 0)."""

import numpy as np

# The scores of four windows, each [CLS] and three words of a text (the question is left out).
starts = np.array([[1.0, 4.0, 0.0, 0.0], [3.0, 1.0, 1.0, 0.0], [2.0, 2.0, 0.0, 1.0], [5.0, 0.0, 0.0, 1.0]])
ends = np.array([[0.0, 0.0, 3.0, 0.0], [3.0, 0.0, 1.0, 0.0], [2.0, 0.0, 2.5, 0.0], [4.0, 1.0, 0.0, 0.0]])
has_answer = np.array([True, False, True, False])


def advantage(start, end):
    """How far the best span is above "not here", the sum of the two scores of [CLS]."""
    spans = [start[first] + end[last] for first in range(1, len(start)) for last in range(first, len(start))]
    return max(spans) - (start[0] + end[0])


gains = np.array([advantage(start, end) for start, end in zip(starts, ends)])
print("advantage of the best span:", gains)
# On paper: 4 + 3 - 1 = 6; 1 + 1 - 6 = -4; 2 + 2.5 - 4 = 0.5; 0 + 1 - 9 = -8.
assert gains.tolist() == [6, -4, 0.5, -8]

# An answer is given if the advantage is above a threshold. 0 is the natural one, and here it is right four times.
for threshold in (-5, 0, 1):
    answered = gains > threshold
    print(f"threshold {threshold:2}: {answered.sum()} answers, right {np.sum(answered == has_answer)} of 4")
assert ((gains > 0) == has_answer).all()
assert (gains > 1).sum() == 1 and (gains > -5).sum() == 3

# A low threshold answers too often, a high one is silent too often. Choose it on validation data, never on the test.

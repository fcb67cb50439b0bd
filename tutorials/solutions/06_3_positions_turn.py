"""Chapter 6, exercise 3: five positions further is the same turn everywhere."""

import numpy as np

from keras_llm.layers import SinusoidalPositionEncoding

HIDDEN_DIM, STEP = 16, 5
P = np.asarray(SinusoidalPositionEncoding(HIDDEN_DIM)(np.arange(50)))  # [50, 16]

# sin(a + b) = cos(b) sin(a) + sin(b) cos(a) and cos(a + b) = -sin(b) sin(a) + cos(b) cos(a):
# each pair (sine, cosine) is turned by its own angle b, whatever the position's angle a is.
turn = np.zeros((HIDDEN_DIM, HIDDEN_DIM))
for i in range(HIDDEN_DIM // 2):
    b = STEP / 10_000 ** (2 * i / HIDDEN_DIM)
    turn[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[np.cos(b), np.sin(b)], [-np.sin(b), np.cos(b)]]

assert np.allclose(P[:-STEP] @ turn.T, P[STEP:], atol=1e-4)
assert np.allclose(turn @ turn.T, np.eye(HIDDEN_DIM))  # a turn: it changes no length
print("one matrix moves all", len(P) - STEP, "positions by", STEP)

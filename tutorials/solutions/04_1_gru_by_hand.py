"""Chapter 4, exercise 1: a GRU by hand."""

import keras
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gru_step(x, h, W, U, b):
    """One word: x [d], h [units], W [d, 3 units], U [units, 3 units], b [2, 3 units].

    The update gate z mixes the old state with a proposal; the reset gate r says how much of the old state the
    proposal may see. There is no second state. As in Keras, the three parts stand in the order z, r, proposal,
    and the words and the state have a bias each.
    """
    z_x, r_x, proposal_x = np.split(x @ W + b[0], 3)
    z_h, r_h, proposal_h = np.split(h @ U + b[1], 3)
    z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
    return z * h + (1 - z) * np.tanh(proposal_x + r * proposal_h)


# On paper: with all weights 0 both gates are 1/2 and the proposal is tanh(0) = 0, so the state is halved.
nothing = np.zeros((1, 3))
assert gru_step(np.ones(1), np.ones(1), nothing, nothing, np.zeros((2, 3))) == [0.5]

# With random weights it is the layer of Keras.
rng = np.random.default_rng(0)
T, d, units = 7, 2, 3
X = rng.normal(size=(T, d))
W, U, b = (rng.normal(size=shape) for shape in ((d, 3 * units), (units, 3 * units), (2, 3 * units)))

h, by_hand = np.zeros(units), []
for x in X:
    h = gru_step(x, h, W, U, b)
    by_hand.append(h)

layer = keras.layers.GRU(units, return_sequences=True)
layer.build([None, T, d])
layer.set_weights([W, U, b])
by_keras = np.asarray(layer(X[None].astype("float32")))[0]
assert np.allclose(by_hand, by_keras, atol=1e-5)
print("equal to keras.layers.GRU")

# Three parts instead of four, so three quarters of the matrices; only the biases are twice as many a part.
lstm = keras.layers.LSTM(units)
lstm.build([None, T, d])
assert layer.count_params() == 3 * (d * units + units * units + 2 * units)
assert lstm.count_params() == 4 * (d * units + units * units + units)
for size in (32, 512):
    gru, lstm = 3 * (2 * size * size + 2 * size), 4 * (2 * size * size + size)
    print(f"width {size}: GRU {gru:,}, LSTM {lstm:,} weights: {gru / lstm:.3f}")

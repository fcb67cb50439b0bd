"""Chapter 4, exercise 2: how much the first of 50 words still counts in the last state of a new LSTM."""

import keras
import numpy as np

T, d, units = 51, 8, 16  # the first word, and fifty after it


def change_of_states(forget_bias):
    """The distance of the states, [T], of two texts that differ in their first word only."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.LSTM(units, return_sequences=True)
    layer.build([None, T, d])
    kernel, recurrent_kernel, bias = layer.get_weights()
    assert (bias[units : 2 * units] == 1).all()  # the second part: Keras starts the forget gates at 1
    bias[units : 2 * units] = forget_bias
    layer.set_weights([kernel, recurrent_kernel, bias])

    text = np.random.default_rng(0).normal(size=(T, d))
    other = text.copy()
    other[0] *= -1
    one, two = np.asarray(layer(np.stack([text, other]).astype("float32")))  # [T, units] each
    return np.linalg.norm(one - two, axis=1)


left = {}
for bias in (1, 6):
    change = change_of_states(bias)
    left[bias] = change[-1] / change[0]
    gate = 1 / (1 + np.exp(-bias))
    print(f"bias {bias}: gates near {gate:.3f}; of the change, {left[bias]:.5f} is left after 50 words")

# The new cell has forgotten. 0.731 to the power of 50 would be 0.0000002; it is a little more, because the gates move with
# the words, and because the state h, too, carries something on. With a bias of 6 the gates are almost open: 0.998 to the
# power of 50 is 0.88. The state shows less of it, since the memory fills up with fifty words, where the tanh is flat.
assert left[1] < 0.001 < 0.1 < left[6]

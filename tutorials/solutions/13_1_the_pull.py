"""Chapter 13, exercise 1: the gradient of the DPO loss, by small differences."""

import numpy as np

from keras_llm.training.preferences import PreferenceLoss, reward_margins

BETA = 0.3
reference = np.array([[-10.0, -12.0]])


def loss(found):
    margin = BETA * ((found[0] - reference[0, 0]) - (found[1] - reference[0, 1]))
    return np.log1p(np.exp(-margin))


for found in (np.array([-10.0, -12.0]), np.array([-8.0, -15.0]), np.array([-13.0, -9.0])):
    assert np.isclose(loss(found), float(PreferenceLoss(BETA)(reference, found[None])), rtol=1e-5)
    margin = reward_margins(reference, found[None], BETA)[0]
    pull = BETA / (1 + np.exp(margin))  # beta * sigma(-margin)
    steps = 1e-5 * np.eye(2)
    slopes = [(loss(found + step) - loss(found - step)) / 2e-5 for step in steps]
    print(f"margin {margin:5.2f}: slopes {np.round(slopes, 4)}, by the formula {pull:.4f}")
    assert np.allclose(slopes, [-pull, pull], atol=1e-6)

# The two pulls are equal and opposite, whatever the answers are: the loss sees the difference alone. A pair that is wrong
# (margin below 0) pulls with up to beta, one that is settled with next to nothing.

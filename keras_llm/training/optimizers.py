"""The optimizer and learning rate of GPT-2-style training."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_llm")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in a straight line to `peak`, then falls along half a cosine to `floor`.

    At step `s` (from 0), `peak * (s + 1) / (warmup_steps + 1)` while `s < warmup_steps`; the fall ends at
    `total_steps`, and the rate stays at `floor` after that.

    Args:
        peak: the highest rate.
        warmup_steps: steps of the rise; 0 for none.
        total_steps: the step at which `floor` is reached.
        floor: the lowest rate; by default a tenth of `peak`.
    """

    def __init__(self, peak, warmup_steps, total_steps, floor=None):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"warmup_steps={warmup_steps} must lie in 0 to total_steps={total_steps}.")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.floor = peak / 10 if floor is None else floor

    def __call__(self, step):
        """The rate at this step, a float32 scalar."""
        step = ops.cast(step, "float32")
        rise = self.peak * (step + 1.0) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        wave = 0.5 * (1.0 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0)))  # 1 -> 0
        return ops.where(step < self.warmup_steps, rise, self.floor + (self.peak - self.floor) * wave)

    def get_config(self):
        """The constructor's arguments."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "floor": self.floor,
        }


def adamw(model, learning_rate, weight_decay=0.1, beta_2=0.95, clip_norm=1.0):
    """AdamW as GPT-2 and its successors use it: matrices decay, biases, norms and other vectors do not.

    Args:
        model: its variables tell which decay: those with two or more axes.
        learning_rate: a float or a schedule such as `WarmupCosine`.
        weight_decay: the decoupled decay (Loshchilov and Hutter 2019).
        beta_2: of Adam; 0.95 rather than 0.999 (Brown et al. 2020, appendix B).
        clip_norm: the gradients' common norm is cut to it; `None` for no clipping.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay, beta_2=beta_2, epsilon=1e-8, global_clipnorm=clip_norm
    )
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer

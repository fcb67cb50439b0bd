"""The optimizer and learning rate of GPT-2-style training."""

import math

import keras
from keras import ops

from keras_llm.training.distribution import sum_over_replicas

SMALL = 2**18  # numbers; variables of up to so many share the vectors of `AdamW`


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


@keras.saving.register_keras_serializable(package="keras_llm")
class AdamW(keras.optimizers.Optimizer):
    """AdamW as GPT-2 and its successors use it: matrices decay, biases, norms and other vectors do not.

    The gradients of small variables are laid end to end in one vector, and so are Adam's two moments of them: a step
    is a few long operations and not a dozen short ones a variable, which compiles in half the time. A large one is on
    its own, as copying it would cost more than that saves; so is every one under `keras.distribution.ModelParallel`,
    which keeps moments where their weights are: a common vector would have to be gathered from all devices.

    The norm is cut after the gradients of all replicas are added up, as one large batch would have it.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

    Args:
        learning_rate: a float or a schedule such as `WarmupCosine`.
        weight_decay: of the variables with two or more axes; at each step they lose the share
            `learning_rate * weight_decay`.
        beta_1, beta_2: of Adam; 0.95 rather than 0.999 as in Brown et al. 2020, appendix B.
        epsilon: of Adam.
        clip_norm: the gradients' common norm is cut to it; `None` for no clipping.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay=0.1,
        beta_1=0.9,
        beta_2=0.95,
        epsilon=1e-8,
        clip_norm=1.0,
        name="adamw",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decay = weight_decay  # Keras' own `weight_decay` would be applied variable by variable
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.clip_norm = clip_norm

    def build(self, variables):
        """Makes the two moments, float32: one pair for all small variables, one for each large one."""
        if self.built:
            return
        super().build(variables)
        sharded = isinstance(keras.distribution.distribution(), keras.distribution.ModelParallel)
        large = [sharded or math.prod(variable.shape) > SMALL for variable in variables]
        small = [i for i, is_large in enumerate(large) if not is_large]
        self.groups = [small] * bool(small) + [[i] for i, is_large in enumerate(large) if is_large]
        self.means = [self._moment("mean", group) for group in self.groups]
        self.squares = [self._moment("square", group) for group in self.groups]

    def _moment(self, name, group):
        first = self._trainable_variables[group[0]]
        alone = len(group) == 1
        shape = first.shape if alone else (sum(math.prod(self._trainable_variables[i].shape) for i in group),)
        layout = getattr(first, "_layout", None) if alone else None  # of `keras.distribution`
        suffix = first.path.replace("/", "_") if alone else "small"
        return self.add_variable(
            shape, initializer="zeros", dtype="float32", layout=layout, name=f"{name}_{suffix}"
        )

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Keras' place for the update of all variables at once; variables without a gradient stay."""
        grads = sum_over_replicas(grads)
        given = dict(zip(map(self._get_variable_index, trainable_variables), grads))
        gradients = [self._join(group, given) for group in self.groups]
        if self.clip_norm is not None:
            norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
            scale = self.clip_norm / ops.maximum(norm, self.clip_norm)
            gradients = [gradient * scale for gradient in gradients]

        step = ops.cast(self.iterations + 1, "float32")
        rate = ops.cast(learning_rate, "float32")
        mean_share = 1 - ops.power(self.beta_1, step)  # both moments began at zero
        square_share = 1 - ops.power(self.beta_2, step)
        targets, values = [], []
        for group, gradient, own_mean, own_square in zip(self.groups, gradients, self.means, self.squares):
            mean = self.beta_1 * own_mean + (1 - self.beta_1) * gradient
            square = self.beta_2 * own_square + (1 - self.beta_2) * ops.square(gradient)
            change = mean / mean_share / (ops.sqrt(square / square_share) + self.epsilon)
            targets += [own_mean, own_square]
            values += [mean, square]
            for i, own_change in zip(group, self._split(group, change)):
                if i in given:
                    variable = self._trainable_variables[i]
                    value = ops.cast(variable, "float32")
                    if len(variable.shape) >= 2:
                        own_change = own_change + self.decay * value
                    targets.append(variable)
                    values.append(ops.cast(value - rate * own_change, variable.dtype))
        _assign(targets, values)

    def _join(self, group, given):
        """The gradients of a group's variables: of one as it is, of several end to end in one vector."""
        own = [
            ops.cast(given[i], "float32") if i in given else ops.zeros(self._trainable_variables[i].shape)
            for i in group
        ]
        return own[0] if len(own) == 1 else ops.concatenate([ops.reshape(one, (-1,)) for one in own])

    def _split(self, group, vector):
        """The reverse of `_join`."""
        if len(group) == 1:
            return [vector]
        parts, start = [], 0
        for i in group:
            shape = self._trainable_variables[i].shape
            parts.append(ops.reshape(vector[start : start + math.prod(shape)], shape))
            start += math.prod(shape)
        return parts

    def finalize_variable_values(self, var_list):
        """Nothing: with `use_ema`, the callback `AveragedWeights` says when the average takes the weights' place."""

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "weight_decay": self.decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "clip_norm": self.clip_norm,
        }


def _assign(variables, values):
    """Gives each variable its value, on every replica of `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        for variable, value in zip(variables, values):
            variable.assign(value)
        return
    import tensorflow as tf

    def assign_all(strategy, values):
        for variable, value in zip(variables, values):
            strategy.extended.update(
                variable.value, lambda own, new: own.assign(new), args=(value,), group=False
            )

    tf.distribute.get_replica_context().merge_call(assign_all, args=(values,))

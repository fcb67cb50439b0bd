"""Gradient accumulation: the step of a large batch with the memory of a small one.

The losses here are means over real tokens. The mean of the means of several micro-batches is another number, as soon
as padding makes them unequal: it is what Keras' `gradient_accumulation_steps` and most training loops work out. So a
batch stays one batch, for the data, the learning rate's schedule, going on after a cut and the logs alike, and only
the step is cut: its micro-batches' gradients, each weighted by its share of the batch's real tokens, add up to the
gradient of the whole.
"""

import functools

import keras
from keras import ops


def accumulate(model, micro_batches):
    """Has a compiled model's `fit` work through each batch in parts, to the same weights within rounding.

    The parts are worked through one after another in a loop of the compiled step, and the activations of one are gone
    before the next begins. Each has dropout of its own; metrics see all rows. The sum of the gradients takes the
    memory of the weights once more.

    Keras has no hook between the loss and the optimizer on both backends, so the model's `train_step` is replaced.

    Args:
        model: compiled, with a loss that says what it divides by (`TokenCrossEntropy.count`). Its batches are pairs
            of inputs and labels; all arrays have the rows on their first axis.
        micro_batches: parts; the number of rows must be a multiple of it.

    Raises:
        ValueError: less than 1; a loss that compares the rows of a batch with one another; or several replicas of
            `tf.distribute`, which cannot add up inside the loop (on JAX several devices can). In `fit`: the rows of a
            batch cannot be shared evenly, or there are sample weights.
    """
    if micro_batches < 1:
        raise ValueError(f"micro_batches must be at least 1, not {micro_batches}.")
    if micro_batches == 1:
        vars(model).pop("train_step", None)  # the class's own again
        return
    if getattr(model.loss, "count", None) is None:
        name = getattr(model.loss, "name", model.loss)
        raise ValueError(
            f"The loss {name} cannot be worked out in parts: it needs the whole batch at once, or does not say what "
            "it divides by. Train without accumulation, with a smaller batch."
        )
    if replicas(model) > 1:
        raise ValueError(
            f"Accumulation does not work on the {replicas(model)} replicas of tf.distribute. Take a smaller batch, or "
            "the devices by KERAS_BACKEND=jax and keras_llm.training.sharding."
        )
    step = _jax_step if keras.backend.backend() == "jax" else _tensorflow_step
    model.train_step = functools.partial(step, model, micro_batches)


def replicas(model):
    """Copies of a model that `tf.distribute` keeps; 1 on JAX."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def check_batches(batches, micro_batches, loss):
    """Raises a ValueError if some batch cannot be cut into so many parts; see `accumulate`."""
    for i in batches.different_shapes():
        _check_rows(len(keras.tree.flatten(batches.batch(i))[0]), micro_batches, loss)


def _check_rows(rows, parts, loss):
    if rows % (parts * loss.rows_together):
        twins = " pairs of" if loss.rows_together == 2 else ""
        raise ValueError(
            f"A batch of {rows} rows cannot be cut into {parts} equal parts of whole{twins} rows. "
            "Choose another batch size, or another number of parts to accumulate."
        )


def _cut(data, parts, loss):
    """Inputs and labels `[rows, ...]`, cut to `[parts, rows / parts, ...]`.

    Each part takes every `parts`-th row, and not a run of rows: where the rows are spread over several devices, each
    device then has its share of every part.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError("Accumulation does not know sample weights; leave labels out with -100.")

    def cut(array):
        if array.shape[0] is not None:
            _check_rows(array.shape[0], parts, loss)
        rest = ops.shape(array)[1:]
        groups = ops.reshape(array, (-1, parts, loss.rows_together, *rest))  # [groups, parts, together, ...]
        return ops.reshape(ops.moveaxis(groups, 1, 0), (parts, -1, *rest))  # [parts, rows / parts, ...]

    return keras.tree.map_structure(cut, (x, y)), ops.maximum(loss.count(y), 1.0)


def _update_metrics(model, loss, x, y, y_pred):
    """Keras' "loss" is a mean over the rows: of the weighted parts it gets the loss of the whole batch."""
    rows = ops.shape(keras.tree.flatten(x)[0])[0]
    model._loss_tracker.update_state(loss, sample_weight=rows)
    return model.compute_metrics(x, y, y_pred)


def _tensorflow_step(model, parts, data):
    """`keras.Model.train_step` of the TensorFlow backend, with a loop around loss and gradient."""
    import tensorflow as tf

    batch, total = _cut(data, parts, model.loss)
    weights = model.trainable_weights
    unused = set()  # weights that the loss does not depend on; known as soon as the loop's body is traced

    def one_part(i, sums):
        x, y = keras.tree.map_structure(lambda array: array[i], batch)
        share = model.loss.count(y) / total
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = share * model.compute_loss(x=x, y=y, y_pred=y_pred, training=True)
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, weights)
        unused.update(k for k, gradient in enumerate(gradients) if gradient is None)
        _update_metrics(model, parts * loss, x, y, y_pred)
        return i + 1, [
            own if gradient is None else own + tf.cast(gradient, own.dtype)
            for own, gradient in zip(sums, gradients)
        ]

    zeros = [tf.zeros(weight.shape, "float32") for weight in weights]
    # Nothing is differentiated through the loop, so that it keeps no activations.
    _, sums = tf.while_loop(lambda i, _: i < parts, one_part, (0, zeros), maximum_iterations=parts)
    gradients = [None if k in unused else own for k, own in enumerate(sums)]
    model.optimizer.apply_gradients(zip(gradients, weights))
    return model.get_metrics_result()


def _jax_step(model, parts, state, data):
    """`keras.Model.train_step` of the JAX backend, with a loop around loss and gradient."""
    import jax

    trainable, non_trainable, optimizer_variables, metrics = state
    batch, total = _cut(data, parts, model.loss)

    def one_part(carry, part):
        sums, non_trainable, metrics = carry
        x, y = part
        share = model.loss.count(y) / total

        def weighted_loss(trainable):
            loss, (unscaled, *rest) = model.compute_loss_and_updates(
                trainable,
                non_trainable,
                metrics,
                x,
                y,
                None,
                training=True,
                optimizer_variables=optimizer_variables,
            )
            return share * loss, (share * unscaled, *rest)

        (_, aux), gradients = jax.value_and_grad(weighted_loss, has_aux=True)(trainable)
        loss, y_pred, non_trainable, metrics = aux
        with keras.StatelessScope([*zip(model.metrics_variables, metrics)]) as scope:
            logs = _update_metrics(model, parts * loss, x, y, y_pred)
        metrics = [scope.get_current_value(variable) for variable in model.metrics_variables]
        sums = [own + gradient for own, gradient in zip(sums, gradients)]
        return (sums, non_trainable, metrics), logs

    zeros = [ops.zeros(weight.shape, "float32") for weight in trainable]
    carry, logs = jax.lax.scan(one_part, (zeros, non_trainable, metrics), batch)
    gradients, non_trainable, metrics = carry
    trainable, optimizer_variables = model.optimizer.stateless_apply(
        optimizer_variables, gradients, trainable
    )
    logs = {name: values[-1] for name, values in logs.items()}  # after the last part
    return logs, (trainable, non_trainable, optimizer_variables, metrics)

"""What the recipes do to make a training step fit into the memory there is: the options of that name."""

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def known_precision(precision):
    """The value of `--precision`, which is Keras' name of a dtype policy.

    Raises:
        ValueError: another one.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"--precision {precision} is not known; choose from {', '.join(PRECISIONS)}.")
    return precision


def prepare(model, train, accumulate, rematerialize):
    """Applies `--accumulate` and `--rematerialize` to a compiled model, and foresees the memory of its step.

    Args:
        model: compiled.
        train: batches.
        accumulate, rematerialize: the options.

    Raises:
        ValueError: the batches cannot be cut so; or a step needs far more memory than there is.
    """
    from keras_llm import layers
    from keras_llm.training import accumulation, memory

    accumulation.accumulate(model, accumulate)
    if accumulate > 1:
        accumulation.check_batches(train, accumulate, model.loss)
    if rematerialize:
        layers.rematerialize(model)
    memory.check(model, train, accumulate)

"""Activations of a block that are worked out a second time instead of being kept."""

import keras


def rematerialize(model, on=True):
    """Has training keep only what goes into each block of a model, and compute the inside again when it is needed.

    Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4.2. A step costs one more forward
    pass, about a third more work, and gives the same numbers; see `recomputed`.

    On JAX, XLA for CPUs takes away the barriers between the two computations and then makes one of them again: there it
    saves nothing, unless `XLA_FLAGS=--xla_disable_hlo_passes=cse_barrier_expander` is set before JAX starts.

    Args:
        model: with blocks of `keras_llm.layers`. What was compiled already stays: call it before `fit`.
        on: False to keep all activations again.
    """
    blocks = [layer for layer in model._flatten_layers() if hasattr(layer, "rematerialize")]
    if not blocks:
        raise ValueError(f"{type(model).__name__} has no blocks to rematerialize.")
    for block in blocks:
        block.rematerialize = on


def recomputed(block, x, **arguments):
    """What a block makes of `x`; its backward pass begins by running the block's forward pass again.

    Dropout must drop the same both times. So the block runs as a pure function of its weights and of the states of its
    random numbers, both times of the same ones; then the new states are stored, once. `keras.RematScope` (Keras 3.15)
    cannot do it: in a compiled step TensorFlow's half refuses calls with keyword arguments, and JAX's half makes
    tensors of options such as `return_attention`.

    Args:
        block: a built layer.
        x: its input.
        arguments: of its call. Gradients are wanted of `source` too, which may be a pair; the others have none.
    """
    source = {name: arguments.pop(name) for name in ("source",) if arguments.get(name) is not None}
    states = block.non_trainable_variables
    weights = [variable.value for variable in block.trainable_variables]
    values = (x, source, weights, [variable.value for variable in states])

    def forward(*flat):
        x, source, weights, states = keras.tree.pack_sequence_as(values, flat)
        outputs, states = block.stateless_call(weights, states, x, **source, **arguments)
        return outputs, *states

    outputs, *new_states = keras.remat(forward)(*keras.tree.flatten(values))
    for variable, value in zip(states, new_states):
        variable.assign(value)
    return outputs

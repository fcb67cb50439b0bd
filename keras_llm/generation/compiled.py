"""Functions of a model, compiled by XLA on either backend."""

import functools

import keras

from keras_llm.layers.dense import transposed_kernels

# Transposed kernels are faster for as many texts, and for a model of so many parameters that the caches do not hold them.
TRANSPOSED_ROWS = range(4, 33)
TRANSPOSED_PARAMETERS = 2**25


class CompiledFunctions:
    """Compiles functions of a model, each once; its weights are taken as they are at each call.

    Args:
        model: a Keras model.
    """

    def __init__(self, model):
        self.model = model
        self.compilations = 0  # how often a function was traced and compiled
        self._functions = {}

    def __call__(self, key, function):
        """The compiled `function(model, *args)`, as a function of `args`; compiled anew for new shapes of these.

        Args:
            key: what tells this function from the others.
            function: of the model and arrays.
        """
        if key not in self._functions:

            def traced(*args):
                self.compilations += 1  # Python runs only while tracing
                return function(*args)

            self._functions[key] = _compiled(self.model, traced)
        return self._functions[key]


def decoding_kernels(compiled, rows):
    """What a loop that writes token by token should multiply by, see `using_transposed_kernels`: mostly nothing else.

    To transpose the kernels takes the time of a few tokens, and their memory once more.

    Args:
        compiled: the model's `CompiledFunctions`.
        rows: how many texts are written at once.
    """
    on_one_cpu = keras.distribution.list_devices() == ["cpu:0"]
    large = compiled.model.count_params() >= TRANSPOSED_PARAMETERS
    worth_it = on_one_cpu and large and rows in TRANSPOSED_ROWS
    return compiled("transpose", transposed_kernels)() if worth_it else []


def _compiled(model, function):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(functools.partial(function, model), jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def stateless(trainable, non_trainable, args):
            values = zip(model.trainable_variables + model.non_trainable_variables, trainable + non_trainable)
            with keras.StatelessScope(state_mapping=list(values)):
                return function(model, *args)

        def run(*args):
            trainable = [variable.value for variable in model.trainable_variables]
            non_trainable = [variable.value for variable in model.non_trainable_variables]
            return stateless(trainable, non_trainable, args)

        return run
    raise ValueError(f"Generation needs the TensorFlow or the JAX backend, not {keras.backend.backend()}.")

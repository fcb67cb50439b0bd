"""On which devices a process trains: one word, said once, before the model is made.

    distribution.use("mirrored")  # from here on Keras' compile, fit, evaluate and predict work on all GPUs

Each replica reads its rows of each batch (`Batches.stream`), losses divide by the tokens of all replicas, the optimizer
adds up their gradients: one step gives what one device would give with the whole batch, but for the order of additions.

Of several workers all do the same; the first one, the chief, alone writes files and prints.
"""

import contextlib
import functools
import json
import os
import sys

import keras
import numpy as np

from keras_llm import files
from keras_llm.training.sharding import distribute

STRATEGIES = {
    "tensorflow": ("auto", "one", "mirrored", "multi-worker", "tpu"),
    "jax": ("auto", "one", "data-parallel", "model-parallel"),
}
TESTED = "3.15.1"  # the Keras whose trainer `_correct_trainer` was tested with


def use(strategy="auto"):
    """Trains on the devices that one word says, from here on in the whole process.

    Call it before anything else of TensorFlow, and before the model is made: its variables stand on these devices.

    Args:
        strategy: `"one"` device. `"mirrored"`: all GPUs of this machine (or its logical CPUs, if there are several).
            `"multi-worker"`: this process is one of several, here or on other machines, that the environment variable
            TF_CONFIG lists; the process waits for the others. `"tpu"`. `"auto"`: the TPU if there is one, several
            workers if TF_CONFIG lists them, all GPUs if there are several, else one device.
            On JAX `"data-parallel"`: all local devices share each batch; `"model-parallel"`: they share the model,
            see `sharding.distribute`; `"auto"`: data-parallel if there are several devices.

    Raises:
        ValueError: the word is unknown on this backend, or there are no such devices.
        ImportError: several workers, and Keras is another than this was written for.
    """
    backend = keras.backend.backend()
    allowed = STRATEGIES.get(backend, ("auto", "one"))
    if strategy not in allowed:
        raise ValueError(
            f"The strategy {strategy!r} is not known on the backend {backend}; choose from {', '.join(allowed)}."
        )
    workers, index = _workers()
    if strategy == "auto":
        strategy = _what_there_is(workers) if backend == "tensorflow" else "one"
    if strategy not in ("multi-worker", "tpu") and workers > 1:
        raise ValueError(
            f"TF_CONFIG lists {workers} workers, but this training is for one process (strategy {strategy!r}): "
            "choose multi-worker, where it is offered, or start it without `keras-llm launch` and TF_CONFIG."
        )
    if backend == "tensorflow":
        _use_tensorflow(strategy, index)


def _what_there_is(workers):
    """The strategy that `auto` stands for, in TensorFlow."""
    import tensorflow as tf

    if tf.config.list_physical_devices("TPU"):
        return "tpu"
    if workers > 1:
        return "multi-worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one"


def _use_tensorflow(strategy, index):
    import tensorflow as tf

    make = {"one": lambda: None, "mirrored": _mirrored, "multi-worker": _multi_worker, "tpu": _tpu}
    tf.distribute.experimental_set_strategy(make[strategy]())
    if strategy == "multi-worker" and index:
        files.keep_nothing()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, it stays open as long as the process


def _use_jax(strategy):
    devices = len(keras.distribution.list_devices())
    if strategy == "auto":
        strategy = "data-parallel" if devices > 1 else "one"
    if strategy == "one":
        keras.distribution.set_distribution(None)
    else:
        distribute(model_devices=devices if strategy == "model-parallel" else 1)


@functools.cache  # a second one in the same process would take the first one's messages for its own
def _mirrored():
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise ValueError(
            f"The strategy 'mirrored' needs several devices; this machine has {devices[0].name} alone. Choose 'one'."
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@functools.cache
def _multi_worker():
    import tensorflow as tf

    if "TF_CONFIG" not in os.environ:
        raise ValueError(
            "The strategy 'multi-worker' finds the workers in the environment variable TF_CONFIG, which is not set. "
            "`keras-llm launch --workers 2 -- train ...` sets it, for workers on this machine."
        )
    _correct_trainer()
    return tf.distribute.MultiWorkerMirroredStrategy()


@functools.cache
def _tpu():
    import tensorflow as tf

    name = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(f"There is no TPU that TensorFlow could use here (TPU_NAME: {name}).") from error
    return tf.distribute.TPUStrategy(resolver)


def _workers():
    """How many workers TF_CONFIG lists, and which of them this process is; (1, 0) without it.

    Raises:
        ValueError: TF_CONFIG is not what TensorFlow reads.
    """
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        places = [(kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, [])))]
        return max(len(places), 1), places.index((task["type"], int(task["index"]))) if places else 0
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f"TF_CONFIG is {text!r}, but must be JSON such as "
            '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error


def is_chief():
    """Whether this process is the one that writes files: the first worker, or the only one."""
    return not _several_workers() or _workers()[1] == 0


def allows_xla():
    """Whether `jit_compile=True` is possible: XLA compiles for one device, and refuses the variables of others."""
    return replicas() == 1


def replicas():
    """In how many parts `tf.distribute` splits a batch."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _several_workers():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and _workers()[0] > 1


def refuse_split(what):
    """Raises a ValueError for what cannot be computed in parts: under several replicas."""
    if replicas() > 1:
        raise ValueError(f"{what} needs the whole batch on one device: choose the strategy 'one'.")


def sum_over_replicas(tensors):
    """The sums of tensors over all replicas: inside a step; elsewhere, or with one replica, the tensors themselves."""
    if replicas() == 1:
        return tensors
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None:  # Keras looks at shapes before the first step, and there is no replica yet
        return tensors
    return replica.all_reduce("SUM", [tf.convert_to_tensor(tensor) for tensor in tensors])


def gather(value):
    """A number from each worker: float64 `[replicas]`; without several workers `[1]`.

    All workers must call it at the same place of the program. So it is also a barrier: none goes on before all came.
    """
    if not _several_workers():
        return np.array([value], "float64")
    import tensorflow as tf

    return _compiled_gather()([tf.constant(value, "float64")])[0].numpy()


@functools.cache
def _compiled_gather():
    import tensorflow as tf

    return tf.function(lambda values: _run(_gather, values))


def _gather(values):
    """On a replica, each value of all replicas: `[replicas, ...]`. (`all_gather` fails with one replica a worker.)"""
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    own_row = tf.reshape(replica.replica_id_in_sync_group, (1, 1))
    rows = [
        tf.scatter_nd(
            own_row, tf.convert_to_tensor(value)[None], [replica.num_replicas_in_sync, *value.shape]
        )
        for value in values  # zeros in the rows of the others
    ]
    return replica.all_reduce("SUM", rows)


def _run(function, *arguments):
    """What a function gives on the first replica of this process, while all replicas run it."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    results = strategy.run(function, args=arguments)
    return keras.tree.map_structure(lambda result: strategy.experimental_local_results(result)[0], results)


def replica_values(variables):
    """What each replica has in the variables of metrics, which are added up only when they are read.

    Args:
        variables: list of Keras variables.

    Returns:
        A list of arrays `[replicas, ...]`, one a variable, the same in all workers.
    """
    if replicas() == 1:
        return [keras.ops.convert_to_numpy(variable)[None] for variable in variables]
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()

    def on_each(variable):
        own = [tf.convert_to_tensor(value) for value in strategy.experimental_local_results(variable.value)]
        return strategy.experimental_distribute_values_from_function(
            lambda replica: own[replica.replica_id_in_sync_group % len(own)]
        )

    return [value.numpy() for value in _compiled_gather()([on_each(variable) for variable in variables])]


def assign_replica_values(variables, values):
    """The reverse of `replica_values`; if these come from another number of replicas, each gets an equal share."""
    parts = replicas()
    values = [
        own if len(own) == parts else np.repeat(own.sum(axis=0, keepdims=True) / parts, parts, axis=0)
        for own in values
    ]
    if parts == 1:
        for variable, own in zip(variables, values):
            variable.assign(own[0])
        return
    import tensorflow as tf

    def on_replica():
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for variable, own in zip(variables, values):
            variable.value.assign(tf.gather(tf.cast(own, variable.dtype), number))
        return ()

    tf.function(_run)(on_replica)


@contextlib.contextmanager
def lost_workers_told():
    """Within it, what TensorFlow raises when another worker is gone becomes a ConnectionError of one line."""
    if not _several_workers():
        yield
        return
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise ConnectionError(
            "Another worker is gone, so this one stops. Started again, all go on after the last saved state."
        ) from error


def _correct_trainer():
    """Mends two places of Keras' trainer that stop several workers (keras-team/keras, issue 20585).

    Before the first step it takes a batch to see its shapes, and hands what all replicas have on to code that wants
    the tensors of one. And it reduces the logs of a step, which are scalars, over their first axis.

    Raises:
        ImportError: these places are not there any more.
    """
    from keras.src.backend.tensorflow import trainer

    places = (trainer.TensorFlowTrainer, "_maybe_symbolic_build"), (trainer, "reduce_per_replica")
    if not all(hasattr(*place) for place in places):
        raise ImportError(
            f"Keras {keras.__version__} has another trainer than Keras {TESTED}, with which training on several "
            "workers was tested. Install that version, or choose the strategy 'one' or 'mirrored'."
        )
    build, reduce_per_replica = (getattr(*place) for place in places)

    @functools.wraps(build)
    def build_from_one_replica(self, iterator=None, data_batch=None):
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda value: self.distribute_strategy.experimental_local_results(value)[0], next(batches)
            )
        build(self, data_batch=data_batch)

    @functools.wraps(reduce_per_replica)
    def reduce_scalars(values, strategy, reduction):
        if reduction != "auto" or strategy.num_replicas_in_sync == 1:
            return reduce_per_replica(values, strategy, reduction)
        return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)

    trainer.TensorFlowTrainer._maybe_symbolic_build = build_from_one_replica
    trainer.reduce_per_replica = reduce_scalars

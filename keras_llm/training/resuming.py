"""A run that survives being killed: its whole state on disk, and a `fit` that goes on from there, bit for bit.

The state is all that the next step depends on: weights, optimizer, metrics, the seeds of dropout, the number of steps
done, and what the callbacks remember. The position in the data needs no more than that number, as `Batches` are a
function of it. Keras' own `BackupAndRestore` begins the data anew, and the epoch.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import warnings

import keras
import numpy as np

from keras_llm.files import read_json, write_json
from keras_llm.training import distribution
from keras_llm.training.results import checksum

STATES = "states"  # the folder, inside that of the run
ARRAYS, FACTS = "arrays.safetensors", "state.json"
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(SystemExit):
    """Training was asked to stop by a signal, and its state was saved; a script ends with 128 + the signal's number."""


def fit(model, train, folder, *, epochs, steps_per_epoch, callbacks, save_every, validation=None):
    """`model.fit`, from where a run in the same folder was cut.

    Args:
        model: compiled; its weights, and those of its optimizer, are replaced if there is a state.
        train: shuffled `Batches`.
        folder: of the run; states go to `states/` in it, two at a time.
        epochs: stretches between two looks at the validation data.
        steps_per_epoch: steps of each.
        callbacks: of Keras; those with `get_state` and `set_state` (a dict for JSON) go on where they were.
        save_every: steps between two states, beside the one after each epoch.
        validation: batches for `validation_data`, or None.

    Raises:
        ValueError: the state is of another model, none of the states is whole, or workers found different states.
        Interrupted: SIGTERM or SIGINT (Ctrl-C) came, to this or another worker; the state was saved. A second one does
            not wait.
        ConnectionError: another worker is gone.
    """
    state = RunState(folder, steps_per_epoch, save_every, callbacks)
    state.load(model, train)
    state.check_workers()
    epoch, step = divmod(state.done, steps_per_epoch)
    parts = (
        [(epoch, epoch + 1, steps_per_epoch - step)] if step else []
    )  # the rest of an epoch, then whole ones
    parts.append((epoch + len(parts), epochs, steps_per_epoch))
    first_batch = train.first_batch
    with state.watch_signals(), distribution.lost_workers_told():
        for begin, end, steps in parts:
            if state.stopped or begin >= end:
                continue
            train.first_batch = first_batch + state.done
            model.fit(
                train.stream(),
                steps_per_epoch=steps,
                initial_epoch=begin,
                epochs=end,
                validation_data=None if validation is None else validation.stream(),
                callbacks=[*callbacks, state],
                shuffle=False,
                verbose=0,
            )
            state.stopped = model.stop_training
        train.first_batch = first_batch
        state.save()
        state.stop_if_asked()


def remove_states(folder):
    """Removes the states of a run that is finished, and of runs in folders inside it."""
    if distribution.is_chief():
        for states in pathlib.Path(folder).rglob(STATES):
            shutil.rmtree(states)


class RunState(keras.callbacks.Callback):
    """Saves the state of a run every few steps; it must be the last of the callbacks.

    A state is written beside the others and moved to its place when it is complete; only then the oldest is removed.

    Args:
        folder, steps_per_epoch, save_every, callbacks: see `fit`.
        keep: how many states to keep.
    """

    def __init__(self, folder, steps_per_epoch, save_every, callbacks, keep=2):
        super().__init__()
        if save_every < 1:
            raise ValueError(f"save_every must be at least 1, not {save_every}.")
        self.folder = pathlib.Path(folder) / STATES
        self.steps_per_epoch = steps_per_epoch
        self.save_every = save_every
        self.remembering = {
            f"{i} {type(callback).__name__}": callback
            for i, callback in enumerate(callbacks)
            if hasattr(callback, "get_state")
        }
        self.keep = keep
        self.done = 0  # steps
        self.saved = 0
        self.stopped = False
        self.metrics = None  # what the metrics of a cut epoch were
        self.signal = None

    # Keras' hooks

    def on_epoch_begin(self, epoch, logs=None):
        """Gives the metrics back what they had, in a cut epoch; saves, behind a whole one."""
        if self.metrics is not None:
            distribution.assign_replica_values(self.model.metrics_variables, self.metrics)
            self.metrics = None
        elif self.done != self.saved:
            self.save()
            self.stop_if_asked()

    def on_train_batch_end(self, batch, logs=None):
        """Counts, and saves when it is time; at the end of an epoch not before its evaluation."""
        self.done += 1
        asked = self.asked()
        if self.done % self.steps_per_epoch and (asked or self.done % self.save_every == 0):
            self.save()
            self.stop_if_asked()

    def asked(self):
        """The number of the signal that came to any of the workers, or 0: the same in all after the same step."""
        return int(distribution.gather(self.signal or 0).max())

    def stop_if_asked(self):
        """Raises `Interrupted` if a signal came."""
        if number := self.asked():
            place = f"Stopped after step {self.saved:,}, which is saved in {self.folder.parent}/."
            if distribution.is_chief():
                print(f"{place} The same command goes on from there.", file=sys.stderr)
            raise Interrupted(128 + number)

    @contextlib.contextmanager
    def watch_signals(self):
        """Within it, the first SIGTERM or SIGINT is noted and the second does what it always did."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python tells signals to the main thread alone
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number, frame):
            self.signal = number
            signal.signal(number, before[number])
            print("\nStopping after this step ...", flush=True)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # The files

    def save(self):
        """Writes the state. On a full disk it warns, and the states before stay as they are."""
        if self.done == self.saved and not self.stopped:
            return
        try:
            self._write()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            warnings.warn(
                f"No space left for the state after step {self.done:,} in {self.folder}; training goes on.",
                stacklevel=2,
            )
            return
        self.saved = self.done
        if distribution.is_chief():
            for old in self._states()[self.keep :]:
                shutil.rmtree(old)

    def _write(self):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        arrays = _arrays("model", self.model.variables) | _arrays("optimizer", self.model.optimizer.variables)
        if self.done % self.steps_per_epoch:
            values = distribution.replica_values(self.model.metrics_variables)  # all workers must take part
            arrays |= {f"metrics {i}": value for i, value in enumerate(values)}
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(
                    f"After step {self.done:,}, {name} holds NaN or infinite numbers; the state is not saved."
                )
        facts = {
            "step": self.done,
            "stopped": self.stopped,
            "callbacks": {name: callback.get_state() for name, callback in self.remembering.items()},
        }
        if not distribution.is_chief():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=self.folder, prefix=".writing-"))
        try:
            _save_arrays(temporary / ARRAYS, arrays)
            write_json(temporary / FACTS, {**facts, "sha256": checksum(temporary / ARRAYS)})
            place = self.folder / f"step-{self.done:09d}"
            if place.exists():
                shutil.rmtree(place)
            os.replace(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _states(self):
        """The folders of all states, the newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True)

    def load(self, model, train):
        """Takes up the newest state that is whole, if there is one; see `fit`."""
        self.set_model(model)
        states = self._states()
        for state in states:
            try:
                facts, arrays = _read(state)
            except (ValueError, FileNotFoundError) as error:
                warnings.warn(f"{error} Going back to the state before it.", stacklevel=2)
                continue
            self._take(model, train, state, facts, arrays)
            return
        if states:
            raise ValueError(f"No state in {self.folder} is whole. Remove that folder to begin anew.")

    def check_workers(self):
        """Raises a ValueError if the workers found different states."""
        steps = distribution.gather(self.done)
        if steps.min() != steps.max():
            raise ValueError(
                f"The workers would go on after different steps, {steps.min():.0f} and {steps.max():.0f}: "
                f"{self.folder.parent} must be one folder, on a disk that all of them see."
            )

    def _take(self, model, train, state, facts, arrays):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        groups = {"model": model.variables, "optimizer": model.optimizer.variables}
        if any(name.startswith("metrics") for name in arrays):
            inputs, labels, *_ = train.batch(0)
            for metric in model.metrics:  # Keras builds them when they are first used
                if not getattr(metric, "built", True):
                    metric.build(labels, model(inputs))
            groups["metrics"] = model.metrics_variables
        values = {
            group: [arrays.get(f"{group} {i}") for i in range(len(variables))]
            for group, variables in groups.items()
        }
        for group, variables in groups.items():
            for variable, value in zip(variables, values[group]):
                if value is not None:
                    shape = value.shape[1:] if group == "metrics" else value.shape  # of metrics one a replica
                if value is None or shape != tuple(variable.shape):
                    raise ValueError(f"{state} is the state of another model: {variable.path} does not fit.")
        for group in ("model", "optimizer"):
            _assign(groups[group], values[group])
        self.metrics = values.get("metrics")
        for name, callback in self.remembering.items():
            callback.set_state(facts["callbacks"][name])
        self.done = self.saved = facts["step"]
        self.stopped = facts["stopped"]
        print(f"Going on after step {self.done:,}, from {state}/")


def _arrays(group, variables):
    return {f"{group} {i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}


def _assign(variables, values):
    for variable, value in zip(variables, values):
        variable.assign(value)


def _save_arrays(path, arrays):
    import safetensors
    import safetensors.numpy

    contiguous = {name: np.array(array, order="C") for name, array in arrays.items()}  # keeps scalars scalars
    try:
        safetensors.numpy.save_file(contiguous, path)
    except safetensors.SafetensorError as error:
        if "os error 28" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _read(state):
    """The facts and arrays of a state; a damaged one is a ValueError."""
    import safetensors.numpy

    facts = read_json(state / FACTS)
    if checksum(state / ARRAYS) != facts["sha256"]:
        raise ValueError(f"{state / ARRAYS} is damaged.")
    return facts, safetensors.numpy.load_file(state / ARRAYS)

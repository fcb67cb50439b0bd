"""What happens beside training: the best model kept, progress printed, curves drawn."""

import csv
import math
import pathlib
import time

import keras

from keras_llm.files import atomic_path


class SaveBest(keras.callbacks.Callback):
    """Keeps the model of the best evaluation so far, written atomically.

    Args:
        path: a `.keras` file; or a folder, for Hugging Face's layout by the model's `save_pretrained`.
        monitor: the quantity in Keras' logs.
        mode: `"min"` or `"max"`: which way is better.
        patience: end the training after so many evaluations in a row that were not better; None for never.
    """

    def __init__(self, path, monitor="val_token_loss", mode="min", patience=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.monitor = monitor
        self.sign = {"min": 1, "max": -1}[mode]
        self.patience = patience
        self.best = None
        self.waited = 0  # evaluations since the best one

    def on_epoch_end(self, epoch, logs=None):
        """Saves if it is better."""
        value = float(logs[self.monitor])
        self.waited += 1
        if self.best is None or self.sign * value < self.sign * self.best:
            self.best, self.waited = value, 0
            self.save()
        if self.waited == self.patience:
            self.model.stop_training = True

    def save(self):
        """Writes the model."""
        if self.path.suffix == ".keras":
            with atomic_path(self.path) as temporary:
                self.model.save(temporary)
        else:
            self.model.save_pretrained(self.path)

    def get_state(self):
        """What it remembers."""
        return {"best": self.best, "waited": self.waited}

    def set_state(self, state):
        """The reverse of `get_state`."""
        self.best, self.waited = state["best"], state["waited"]


class AveragedWeights(keras.callbacks.Callback):
    """Puts the moving average of the weights in their place, for evaluations and for what is saved.

    It must be the first of the callbacks, and the optimizer our `AdamW` with `use_ema=True`. Keras' own
    `SwapEMAWeights` adds and subtracts, so that each swap changes the weights by a rounding error, and at the end of
    each `fit` it drops those that were trained.
    """

    def __init__(self):
        super().__init__()
        self.inside = False  # whether the model has the average, and the optimizer keeps what is trained

    def _put(self, inside):
        if self.inside != inside:
            optimizer = self.model.optimizer
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of Keras' `LossScaleOptimizer`
            for weight, average in zip(
                optimizer._trainable_variables, optimizer._model_variables_moving_average
            ):
                value = keras.ops.convert_to_numpy(weight)
                weight.assign(keras.ops.convert_to_numpy(average))
                average.assign(value)
            self.inside = inside

    def on_test_begin(self, logs=None):
        """The average."""
        self._put(True)

    def on_epoch_end(self, epoch, logs=None):
        """The average, for the callbacks behind this one, and after the last epoch for good."""
        self._put(True)

    def on_epoch_begin(self, epoch, logs=None):
        """The weights that are trained."""
        self._put(False)


class Guard(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, and tells when the loss jumps.

    A jump is a loss of more than twice the usual one, and further above it than eight times the usual distance. The
    loss of a batch is worked out from Keras' running mean, as if all batches had as many rows.
    """

    def __init__(self):
        super().__init__()
        self.done = 0
        self.batches, self.mean = 0, 0.0  # of the epoch
        self.usual = self.distance = None

    def on_epoch_begin(self, epoch, logs=None):
        """Keras' mean begins anew, but for the rest of a cut epoch."""
        if self.done != self.resumed_at:
            self.batches, self.mean = 0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss."""
        self.done += 1
        self.batches += 1
        mean = float(logs["loss"])
        if not math.isfinite(mean):
            raise ValueError(
                f"The loss is {mean} at step {self.done:,}, in batch {self.done - 1} of the training data. A lower "
                "learning rate or a longer warmup helps where it is too high; else look what is special in that batch."
            )
        loss = self.batches * mean - (self.batches - 1) * self.mean
        self.mean = mean
        if self.usual is None:
            self.usual, self.distance = loss, abs(loss)
        above = loss - self.usual
        if above > max(self.usual, 8 * self.distance):
            print(
                f"  step {self.done:>6,}: the loss jumps to {loss:.3f}; about {self.usual:.3f} was usual",
                flush=True,
            )
        self.usual += above / 20
        self.distance += (abs(above) - self.distance) / 20

    resumed_at = None

    def get_state(self):
        """What it remembers."""
        names = ("done", "batches", "mean", "usual", "distance")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state):
        """The reverse of `get_state`."""
        vars(self).update(state)
        self.resumed_at = self.done


class Measure(keras.callbacks.Callback):
    """Measures the model after each epoch and adds what it finds to Keras' logs, with `val_` before the names.

    It must stand before the callbacks that read these logs.

    Args:
        measure: a function without arguments that returns a dict of name to number.
    """

    def __init__(self, measure):
        super().__init__()
        self.measure = measure

    def on_epoch_end(self, epoch, logs=None):
        """Measures."""
        logs.update({f"val_{name}": value for name, value in self.measure().items()})


class Progress(keras.callbacks.Callback):
    """Prints a line every few seconds and after each evaluation: loss, speed and the time left.

    Args:
        total_steps: steps of the whole run.
        tokens_per_step: tokens (or rows) a batch.
        unit: what is counted, `"tokens"` or `"texts"`.
        every_seconds: least time between two lines.
        monitor: validation quantities to print, by their names in Keras' logs.
    """

    def __init__(
        self, total_steps, tokens_per_step, unit="tokens", every_seconds=10, monitor=("val_perplexity",)
    ):
        super().__init__()
        self.total_steps = total_steps
        self.tokens_per_step = tokens_per_step
        self.unit = unit
        self.every_seconds = every_seconds
        self.monitor = monitor
        self.done = 0
        self.announced = False
        self.shown = None  # when the last line was printed

    def get_state(self):
        """What it remembers."""
        return {"done": self.done}

    def set_state(self, state):
        """The reverse of `get_state`."""
        self.done = state["done"]

    def on_train_begin(self, logs=None):
        """Tells that the first step takes longer."""
        if not self.announced:
            self.announced = True
            left = f"the other {self.total_steps - self.done:,}" if self.done else f"{self.total_steps:,}"
            print(f"Training for {left} steps. The first one compiles the model, which takes a while.")

    def on_train_batch_end(self, batch, logs=None):
        """Counts, and prints when it is time."""
        self.done += 1
        now = time.perf_counter()
        if self.shown is None:  # the clock starts after the compilation
            self.shown, self.shown_done = now, self.done
        elif now - self.shown >= self.every_seconds or self.done == self.total_steps:
            self._line(now, logs)

    def _line(self, now, logs):
        seconds_a_step = (now - self.shown) / max(self.done - self.shown_done, 1)
        left = (self.total_steps - self.done) * seconds_a_step
        print(
            f"  step {self.done:>6,} of {self.total_steps:,}   loss {float(logs['loss']):.3f}   "
            f"{self.tokens_per_step / seconds_a_step:,.0f} {self.unit}/s   {_clock(left)} left",
            flush=True,
        )
        self.shown, self.shown_done = now, self.done

    def on_epoch_end(self, epoch, logs=None):
        """Prints the validation's quantities."""
        if self.monitor:
            values = "   ".join(
                f"{name.removeprefix('val_')} {float(logs[name]):.3f}" for name in self.monitor
            )
            print(f"  validation after step {self.done:,}:   {values}", flush=True)
        self.shown = None  # the time of the evaluation is no training time


class Curves(keras.callbacks.Callback):
    """Writes `history.csv` and `curves.png` after each evaluation.

    Args:
        folder: where to.
        loss: name of the training loss in Keras' logs; drawn beside `val_` + name, if that is there.
        other: a validation quantity for a second panel, such as `"val_perplexity"`.
        title: over the picture.
    """

    def __init__(self, folder, loss="token_loss", other="val_perplexity", title=""):
        super().__init__()
        self.folder = folder
        self.loss = loss
        self.other = other
        self.title = title
        self.rows = []
        self.done = 0

    def get_state(self):
        """What it remembers."""
        return {"rows": self.rows, "done": self.done}

    def set_state(self, state):
        """The reverse of `get_state`."""
        self.rows, self.done = state["rows"], state["done"]

    def on_train_batch_end(self, batch, logs=None):
        """Counts the steps."""
        self.done += 1

    def on_epoch_end(self, epoch, logs=None):
        """Adds a row and draws anew."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"step": self.done, "learning_rate": rate}
        self.rows.append(row | {name: float(value) for name, value in logs.items()})
        with atomic_path(self.folder / "history.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)
        with atomic_path(self.folder / "curves.png") as temporary:
            draw_curves(self.rows, temporary, self.loss, self.other, self.title)


def draw_curves(rows, path, loss, other, title):
    """Draws training and validation loss, and `other` beside them, over the steps."""
    from matplotlib.figure import Figure  # not pyplot: no window, no state

    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [row[loss] for row in rows], label="training", color="tab:gray")
    if f"val_{loss}" in rows[0]:
        left.plot(steps, [row[f"val_{loss}"] for row in rows], label="validation", color="tab:blue")
    left.set(xlabel="step", ylabel="loss (nats)", title=title)
    left.legend()
    right.plot(steps, [row[other] for row in rows], color="tab:blue")
    name = other.removeprefix("val_").replace("_", " ")
    right.set(xlabel="step", ylabel=f"validation {name}", title=f"last: {rows[-1][other]:.3f}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    figure.savefig(path, dpi=120)


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"

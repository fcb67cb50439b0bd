"""The folder of a run: what it holds, how it is begun and how it is opened again."""

import pathlib
import time

from keras_llm.files import read_json, write_json

MODEL, SETTINGS, METRICS, LABELS = "model.keras", "run.json", "metrics.json", "labels.json"


def free_folder(output, name):
    """The folder of a new run: `output`, which must not hold a run yet, or the next free name under `runs/`."""
    if output is not None:
        folder = pathlib.Path(output)
        if (folder / SETTINGS).exists():
            raise ValueError(f"{folder} already holds a run. Choose another --output, or remove that folder.")
        return folder
    names = (
        pathlib.Path("runs") / f"{name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 10_000)))
    )
    return next(folder for folder in names if not (folder / SETTINGS).exists())


def begin(output, command, arguments):
    """Makes the folder of a new run and writes its settings there.

    Args:
        output: see `free_folder`.
        command: words of the command line, such as `"train gpt2"`.
        arguments: dict of its options, so that `--config run.json` repeats the run.
    """
    folder = free_folder(output, command.split()[-1])
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {name: value for name, value in arguments.items() if name not in ("output", "result")}
    write_json(folder / SETTINGS, {"command": command, "arguments": arguments})
    return folder


def finish(folder, metrics, started, data, seed, result=None):
    """Writes the run's figures, and with `result` the file of a measured result.

    Args:
        folder: of the run.
        metrics: dict of name to number.
        started: `time.perf_counter()` at the beginning.
        data: dict of name to the texts or rows used.
        seed: of the run.
        result: path of the JSON file, or None.

    Returns:
        The seconds since the beginning.
    """
    from keras_llm.training.results import write_result

    write_json(folder / METRICS, metrics)
    seconds = time.perf_counter() - started
    if result:
        used = {name: [str(row) for row in rows] for name, rows in data.items()}
        write_result(result, seed=seed, data=used, wall_seconds=seconds, metrics=metrics)
    return seconds


def open_run(folder):
    """Loads what a run left: (model, tokenizer, settings).

    `folder` may also be a GPT-2 in Hugging Face's layout, or its name on the hub; settings are empty then.
    """
    import keras

    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.tokenizers import Tokenizer

    path = pathlib.Path(folder)
    if not (path / SETTINGS).is_file():
        return GPT2Model.from_pretrained(folder), Tokenizer.from_pretrained(folder), {}
    settings = read_json(path / SETTINGS)
    if not (path / MODEL).is_file():
        raise FileNotFoundError(f"{path} has no {MODEL}: its training ended before the first evaluation.")
    return keras.saving.load_model(path / MODEL, compile=False), Tokenizer.from_pretrained(path), settings

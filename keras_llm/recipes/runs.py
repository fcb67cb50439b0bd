"""The folder of a run: what it holds, how it is begun and how it is opened again."""

import json
import pathlib
import time

from keras_llm.files import read_json, resolve_folder, write_json

MODEL, SETTINGS, METRICS, LABELS = "model.keras", "run.json", "metrics.json", "labels.json"
WEIGHTS = ["*.safetensors", "*.ckpt.data-*", MODEL]  # the files that a checkpoint's weights may be in

# The commands that train a causal language model, and leave it in the run's folder.
CAUSAL = ("train gpt2", "train chat", "train preferences")

# What a checkpoint without run.json is for: the class of `transformers` that its config.json names, or its type.
COMMANDS = {
    "GPT2LMHeadModel": "train gpt2",
    "GPT2Model": "train gpt2",
    "gpt2": "train gpt2",
    "BertForMaskedLM": "train bert",
    "BertForSequenceClassification": "train classify",
    "BertForTokenClassification": "train tag",
    "BertForQuestionAnswering": "train answer",
    "BertModel": "train similar",
}


def prepare(strategy, seed):
    """The first thing of a training: on which devices it is (see `distribution.use`), and what is drawn at random."""
    import keras

    from keras_llm.training import distribution

    distribution.use(strategy)
    keras.utils.set_random_seed(seed)


def free_folder(output, name, settings=None):
    """The folder for a run: `output`, or the first of `runs/NAME`, `runs/NAME-2`, ... that may be used.

    A folder may be used if it holds no run, or one with the same settings that was cut and can go on.

    Raises:
        ValueError: `output` holds another run, or one that is finished.
    """
    if output is not None:
        folder = pathlib.Path(output)
        if not _may_be_used(folder, settings):
            raise ValueError(
                f"{folder} already holds a run, finished or with other options. Choose another --output, or remove "
                "that folder."
            )
        return folder
    names = (
        pathlib.Path("runs") / f"{name}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 10_000)))
    )
    return next(folder for folder in names if _may_be_used(folder, settings))


def _may_be_used(folder, settings):
    if not (folder / SETTINGS).exists():
        return True
    return not (folder / METRICS).exists() and read_json(folder / SETTINGS) == settings


def begin(output, command, arguments):
    """Makes the folder of a new run and writes its settings there; or finds that of the same run, which was cut.

    Args:
        output: see `free_folder`.
        command: words of the command line, such as `"train gpt2"`.
        arguments: dict of its options, so that `--config run.json` repeats the run.
    """
    arguments = {name: value for name, value in arguments.items() if name not in ("output", "result")}
    settings = json.loads(json.dumps({"command": command, "arguments": arguments}))
    folder = free_folder(output, command.split()[-1], settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SETTINGS, settings)
    return folder


def finish(folder, metrics, started, data, arguments):
    """Writes the run's figures, and with `--result` the file of a measured result.

    Args:
        folder: of the run.
        metrics: dict of name to number.
        started: `time.perf_counter()` at the beginning.
        data: dict of name to the texts or rows used.
        arguments: dict of the command's options; of these `seed`, `result` and `start_from` are read.

    Returns:
        The seconds since the beginning.
    """
    from keras_llm.training.results import write_result
    from keras_llm.training.resuming import remove_states

    seconds = time.perf_counter() - started
    if arguments["result"]:
        used = {name: [str(row) for row in rows] for name, rows in data.items()}
        used |= weight_files(arguments.get("start_from"))
        write_result(
            arguments["result"], seed=arguments["seed"], data=used, wall_seconds=seconds, metrics=metrics
        )
    write_json(folder / METRICS, metrics)  # the run is finished
    remove_states(folder)
    return seconds


def weight_files(start_from):
    """The files with a checkpoint's weights: a dict of name to path, for a result; empty for None."""
    if start_from is None:
        return {}
    folder = resolve_folder(start_from, WEIGHTS)
    paths = [path for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]
    return {f"{start_from} ({path.name})": path for path in paths}


def command_of(folder):
    """The command that trains such a model, such as `"train gpt2"`: run.json tells it, or config.json.

    Args:
        folder: of a run; or a checkpoint in Hugging Face's layout, or its name on the hub.

    Raises:
        FileNotFoundError: no such folder or name, or neither file is in it.
        ValueError: a checkpoint of another kind.
    """
    settings = pathlib.Path(folder) / SETTINGS
    if settings.is_file():
        return read_json(settings)["command"]
    path = resolve_folder(folder, ["config.json"])
    if (path / "hparams.json").is_file():  # GPT-2 as OpenAI published it
        return "train gpt2"
    config = read_json(path / "config.json")
    kind = (config.get("architectures") or [config.get("model_type")])[0]
    if kind not in COMMANDS:
        raise ValueError(
            f"{folder} is a {kind}, which no command here uses; known are {', '.join(COMMANDS)}."
        )
    return COMMANDS[kind]


def arguments_of(folder, command):
    """The options of a run; {} for a checkpoint without run.json.

    Raises:
        ValueError: it is the run of another command.
    """
    settings = pathlib.Path(folder) / SETTINGS
    if not settings.is_file():
        return {}
    found = read_json(settings)
    if found["command"] != command:
        raise ValueError(f"{folder} is a run of `{found['command']}`, not of `{command}`.")
    return found["arguments"]


def open_run(folder, command="train gpt2"):
    """Loads what a run of `train gpt2` or `train lstm` left: (model, tokenizer, arguments).

    `folder` may also be a GPT-2 in Hugging Face's layout, or its name on the hub; there are no arguments then.
    """
    import keras

    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.tokenizers import Tokenizer

    path = pathlib.Path(folder)
    arguments = arguments_of(folder, command)
    if not (path / SETTINGS).is_file() or (path / "config.json").is_file():
        return GPT2Model.from_pretrained(folder), Tokenizer.from_pretrained(folder), arguments
    if not (path / MODEL).is_file():
        raise FileNotFoundError(f"{path} has no {MODEL}: its training ended before the first evaluation.")
    return keras.saving.load_model(path / MODEL, compile=False), Tokenizer.from_pretrained(path), arguments


def open_causal(folder):
    """Loads a causal language model, of a run or a checkpoint of Hugging Face's: what `open_run` gives.

    Raises:
        ValueError: a model of another kind.
    """
    command = command_of(folder)
    if command not in CAUSAL:
        raise ValueError(f"{folder} was made by `{command}`; here it takes a model of {', '.join(CAUSAL)}.")
    return open_run(folder, command)

"""The command `keras-llm`."""

import atexit
import functools
import inspect
import os
import re
import sys
import threading
from typing import Annotated

import typer
from typer import Argument, Option

from keras_llm.files import read_json
from keras_llm.recipes import launch as launching
from keras_llm.recipes.answer import evaluate_answer, train_answer
from keras_llm.recipes.bert import train_bert
from keras_llm.recipes.chat import chat, evaluate_chat, train_chat
from keras_llm.recipes.classify import evaluate_classify, train_classify
from keras_llm.recipes.extract import evaluate_extract, train_extract
from keras_llm.recipes.gpt2 import evaluate_gpt2, load_texts, train_gpt2
from keras_llm.recipes.hmm import evaluate_hmm, train_hmm
from keras_llm.recipes.likelihood import evaluate_task
from keras_llm.recipes.lstm import evaluate_lstm, train_lstm
from keras_llm.recipes.ngram import evaluate_ngram, train_ngram, write_ngram
from keras_llm.recipes.options import DataDir
from keras_llm.recipes.predict import predict
from keras_llm.recipes.preferences import train_preferences
from keras_llm.recipes.quickstart import quickstart
from keras_llm.recipes.rows import source_of
from keras_llm.recipes.runs import CAUSAL, arguments_of, command_of, open_causal
from keras_llm.recipes.similar import evaluate_similar, train_similar
from keras_llm.recipes.summarize import evaluate_summarize, train_summarize
from keras_llm.recipes.tag import evaluate_tag, train_tag
from keras_llm.recipes.translate import evaluate_translate, explain_translation, train_translate
from keras_llm.recipes.word2vec import train_word2vec

app = typer.Typer(
    help="Train, measure and use language models in Keras.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
train = typer.Typer(help="Train a model.", no_args_is_help=True)
tokenizer = typer.Typer(help="Train a tokenizer.", no_args_is_help=True)
app.add_typer(train, name="train")
app.add_typer(tokenizer, name="tokenizer")


def main():
    """Runs the command line; a wrong input ends in one line that says what to do, not in a traceback."""
    _drop_native_logs()
    try:
        app()
    except (ValueError, FileNotFoundError, ImportError, ConnectionError) as error:
        if os.environ.get("KERAS_LLM_DEBUG"):
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)


# TensorFlow's and XLA's notes to their developers, such as "I0000 00:00:17 port.cc:153] oneDNN ...".
NATIVE_LOG = re.compile(
    rb"([IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ \S+\.cc:\d+\] )|(WARNING: All log messages before absl)"
)


def _drop_native_logs():
    """Keeps native log lines off the terminal; no setting of TensorFlow's does. All else is passed on."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = os.dup(2)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)

    def pass_on():
        with os.fdopen(source, "rb") as lines, os.fdopen(terminal, "wb", buffering=0) as out:
            for line in lines:
                if not NATIVE_LOG.match(line):
                    out.write(line)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()

    def finish():
        sys.stderr.flush()
        os.dup2(terminal, 2)  # closes the pipe's last writer, which ends the thread
        thread.join(timeout=1)

    atexit.register(finish)


def _configured(recipe):
    """A recipe as a command, with `--config FILE`: the options of an earlier run, unless given anew."""

    def read(context: typer.Context, path: str | None):
        if path is not None:
            settings = read_json(path)
            unknown = set(settings.get("arguments", {"arguments": None})) - set(signature.parameters)
            if unknown:
                raise ValueError(
                    f"{path} is not the run.json of this command: it has {', '.join(sorted(unknown))}."
                )
            context.default_map = settings["arguments"]

    @functools.wraps(recipe)
    def command(config, **arguments):
        recipe(**arguments)

    config = Annotated[
        str | None,
        Option(
            callback=read,
            is_eager=True,
            help="run.json of an earlier run: its options are taken where none are given here.",
        ),
    ]
    signature = inspect.signature(recipe)
    option = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config)
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])
    command.__annotations__ = {**recipe.__annotations__, "config": config}
    return command


train.command("gpt2")(_configured(train_gpt2))
train.command("lstm")(_configured(train_lstm))
train.command("bert")(_configured(train_bert))
train.command("classify")(_configured(train_classify))
train.command("tag")(_configured(train_tag))
train.command("answer")(_configured(train_answer))
train.command("similar")(_configured(train_similar))
train.command("translate")(_configured(train_translate))
train.command("summarize")(_configured(train_summarize))
train.command("extract")(_configured(train_extract))
train.command("chat")(_configured(train_chat))
train.command("preferences")(_configured(train_preferences))
train.command("ngram")(_configured(train_ngram))
train.command("hmm")(_configured(train_hmm))
train.command("word2vec")(_configured(train_word2vec))
app.command()(quickstart)
app.command()(chat)
app.command()(predict)

# How the model that a command trained is measured: functions of the run, a source and a part of it.
EVALUATE = {
    "train gpt2": evaluate_gpt2,
    "train chat": evaluate_chat,
    "train lstm": evaluate_lstm,
    "train classify": evaluate_classify,
    "train tag": evaluate_tag,
    "train answer": evaluate_answer,
    "train similar": evaluate_similar,
    "train translate": evaluate_translate,
    "train summarize": evaluate_summarize,
    "train extract": evaluate_extract,
    "train ngram": evaluate_ngram,
    "train hmm": evaluate_hmm,
}


@app.command()
def launch(
    command: Annotated[list[str], Argument(help="The training, such as `-- train gpt2 --data my_text.txt`.")],
    workers: Annotated[int, Option(help="How many processes.")] = 2,
):
    """Train in several processes on this machine as in one; for several GPUs, `--strategy mirrored` is simpler."""
    trainings = {f"train {own.name}": own.callback for own in train.registered_commands}
    training = trainings.get(" ".join(command[:2]))
    if training and "strategy" not in inspect.signature(training).parameters:
        raise ValueError(f"`{' '.join(command[:2])}` is for one process: it has no --strategy.")
    sys.exit(launching.launch(command, workers))


@app.command()
def evaluate(
    model: Annotated[
        str, Argument(help="A run's folder; or a Hugging Face folder or hub name of a GPT-2, or of a BERT.")
    ],
    data: Annotated[
        str | None, Option("--data", "-d", help="What to measure on; by default the run's own.")
    ] = None,
    split: Annotated[
        str | None, Option(help="Part of the data: train, validation or test; `all` for all of it.")
    ] = "validation",
    data_dir: DataDir = None,
    stride: Annotated[
        int | None,
        Option(help="For a GPT-2's perplexity: overlapping windows, so many tokens from one to the next."),
    ] = None,
    task: Annotated[
        str | None,
        Option(
            help="For a GPT-2: a file with context, choices and answer; or with text, whose last word is asked."
        ),
    ] = None,
    delimiter: Annotated[str, Option(help="Between context and choice of a --task.")] = " ",
):
    """Measure a trained model by what its task is judged by: perplexity, accuracy, F1, ..."""
    if task is not None:
        if data is not None or stride is not None:
            raise ValueError("--task is measured on its own file: leave out --data and --stride.")
        print(f"{task}: {evaluate_task(model, task, delimiter)[1]}")
        return
    split = None if split == "all" else split
    command = command_of(model)
    if command not in EVALUATE:
        raise ValueError(f"{model} was made by `{command}`, whose models have no measure of their own here.")
    if data is None:
        arguments = arguments_of(model, command)
        if "data" not in arguments:
            raise ValueError("This model has no text of its own: give one with --data.")
        data, split = source_of(split, *(arguments.get(name) for name in ("data", "validation", "test")))
    options = {}
    if stride is not None:
        if EVALUATE[command] is not evaluate_gpt2:
            raise ValueError(f"--stride is for a perplexity on running text, not for a run of `{command}`.")
        options = {"stride": stride}
    _, text = EVALUATE[command](model, data, split, data_dir, **options)
    print(f"{data} ({split or 'all'}): {text}")


@app.command()
def generate(
    model: Annotated[
        str,
        Argument(
            help="A run of `train gpt2` or `train ngram`; or a GPT-2 of Hugging Face's: a folder or name."
        ),
    ],
    prompt: Annotated[str, Argument(help="The text to go on from.")],
    max_new_tokens: Annotated[int, Option(help="How many tokens to write at most.")] = 100,
    temperature: Annotated[
        float, Option(help="0 takes the likeliest token; above 1 is more surprising.")
    ] = 0.8,
    top_k: Annotated[int | None, Option(help="Draw from the k likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, Option(help="Draw from the fewest tokens that reach this probability.")
    ] = None,
    min_p: Annotated[
        float | None, Option(help="Leave out tokens less likely than this share of the likeliest.")
    ] = None,
    repetition_penalty: Annotated[float, Option(help="Above 1 makes what was said less likely.")] = 1.0,
    seed: Annotated[int, Option(help="Another seed, another text.")] = 0,
    slide: Annotated[
        bool, Option(help="Beyond the model's context, forget the oldest text and go on.")
    ] = True,
):
    """Write on from a prompt; the text appears as it is written."""
    from keras_llm.generation import Sampler, TextGenerator

    sampler = Sampler(temperature, top_k, top_p, min_p, repetition_penalty)
    command = command_of(model)
    if command == "train ngram":
        pieces = write_ngram(model, prompt, max_new_tokens, sampler, seed)
    elif command in CAUSAL:
        network, text_tokenizer, _ = open_causal(model)
        writer = TextGenerator(network, text_tokenizer)
        overflow = "slide" if slide else "error"
        pieces = writer.stream(prompt, max_new_tokens, sampler, seed, overflow=overflow)
    else:
        raise ValueError(
            f"{model} is a model of `{command}`; prompts are continued by those of {', '.join(CAUSAL)} and train ngram."
        )
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


@app.command()
def attention(
    model: Annotated[str, Argument(help="A run of `train translate`.")],
    text: Annotated[str, Argument(help="What to translate.")],
    target: Annotated[str | None, Option(help="A translation; by default the model's own.")] = None,
    layer: Annotated[int, Option(help="Block of the decoder, from 0; -1 is the last.")] = -1,
    output: Annotated[str, Option(help="The picture, a PNG file.")] = "attention.png",
):
    """Draw which words of a text each word of its translation looked at."""
    from keras_llm.explain.attention_maps import draw_attention

    target, found = explain_translation(model, text, target)
    draw_attention(found, output, layer)
    print(target)
    for word, row in zip(found.target_words, found.weights[layer].mean(axis=0)):
        print(f"  {word}  <-  {found.source_words[row.argmax()]}  {row.max():.2f}")
    print(f"The picture is {output}")


@app.command()
def datasets(
    name: Annotated[str | None, Argument(help="Show the first rows of this one.")] = None,
    split: Annotated[str | None, Option(help="train, validation or test; by default all.")] = None,
    data_dir: DataDir = None,
    rows: Annotated[int, Option(help="How many rows to show.")] = 3,
):
    """List the data sets that can be used by name, or look into one."""
    from keras_llm.datasets import load, names

    if name is None:
        for entry in names():
            count = f"{entry['rows']:,} rows" if entry["rows"] else ""
            print(
                f"{entry['name']:<32}{entry['task']:<22}{entry['language']:<24}{count:<10}{entry['origin']}"
            )
        print("\nAny file can be used as well: .txt, .csv, .tsv, .jsonl, .json (SQuAD), .conll, or a.en,a.de")
        return
    loaded = load(name, split, data_dir)
    print(f"{name}: {len(loaded):,} rows")
    for row in loaded[:rows]:
        for column, value in row.items():
            text = str(value)
            print(f"  {column}: {text if len(text) <= 200 else text[:200] + ' ...'}")
        print()


@tokenizer.command("train")
def train_tokenizer(
    data: Annotated[str, Option("--data", "-d", help="A text file, a folder of them, or a data set's name.")],
    output: Annotated[str, Option(help="Folder for the tokenizer.")],
    kind: Annotated[str, Option(help="byte_bpe, wordpiece, word or character.")] = "byte_bpe",
    vocabulary: Annotated[int, Option(help="The most tokens to have.")] = 8192,
    lowercase: Annotated[bool, Option(help="Lower-case all text first.")] = False,
    data_dir: DataDir = None,
):
    """Train a tokenizer on the training part of a text."""
    from keras_llm.tokenizers import Tokenizer

    texts = load_texts(data, "train", data_dir)
    trained = Tokenizer.train(texts, kind, vocabulary, lowercase=lowercase)
    trained.save(output)
    sample = texts[0][:60]
    print(f"{trained.vocabulary_size:,} tokens, in {output}/")
    print(" | ".join(trained.id_to_token(token) for token in trained.encode(sample)))


if __name__ == "__main__":
    main()

"""What each idea bought: n-grams, an LSTM and a GPT-2 of the same size, on the same tokens of one text.

    python benchmarks/ladder.py --result results/ladder_wikitext2.json
    python benchmarks/ladder.py --train docstrings --result results/ladder_docstrings.json

The first finds its three files in the folder that KERAS_LLM_DATA names. All models have one byte-BPE tokenizer, trained
on the training text. The networks read the same windows, with the same optimizer and steps. The learning rate is each
one's own: four are tried for a part of the steps, and the one with the best validation loss is taken; the model of the
best validation loss is kept. The test text is read once by each. Beside the perplexity of a token stands that of a word:
exp of the whole loss, divided by the number of words and line ends, which is how figures on WikiText-2 are counted. The
table and ladder.png stand in --output, and the picture beside the result, too.
"""

import argparse
import math
import pathlib
import shutil
import time

import keras
import numpy as np

from keras_llm.baselines.ngram import NgramModel
from keras_llm.datasets import load
from keras_llm.datasets.batches import TokenWindows
from keras_llm.evaluation.language import evaluate_language_model
from keras_llm.files import atomic_path
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.lstm import set_output_bias
from keras_llm.recipes import scratch
from keras_llm.recipes.gpt2 import encode_texts
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.losses import Perplexity
from keras_llm.training.results import write_result

SPLITS = ("train", "validation", "test")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TRIAL = 8  # one step in so many is spent on each trial of a rate


def main():
    """Counts, trains, measures, prints the table and draws it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--train", default="wikitext2/train.txt", help="a text, or a data set with its own parts"
    )
    parser.add_argument("--validation", default="wikitext2/valid.txt", help="for a --train that is a file")
    parser.add_argument("--test", default="wikitext2/test.txt", help="for a --train that is a file")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--orders", type=int, default=4, help="n-grams of 1 to so many tokens")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--output", default="runs/ladder", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    texts = load_texts(arguments)
    tokenizer = Tokenizer.train(texts["train"], "byte_bpe", arguments.vocabulary)
    ids = {split: encode_texts(tokenizer, documents) for split, documents in texts.items()}
    words = {split: sum(map(count_words, documents)) for split, documents in texts.items()}
    for split in SPLITS:
        print(f"{split}: {words[split]:,} words and line ends, {len(ids[split]):,} tokens")

    folder = pathlib.Path(arguments.output)
    rungs = {}
    for order in range(1, arguments.orders + 1):
        rungs[f"{order}_gram"] = count(order, tokenizer.vocabulary_size, ids)
    for name, make in (("lstm", make_lstm), ("gpt2", make_gpt2)):
        tried = {}
        for rate in RATES:
            keras.utils.set_random_seed(0)
            model = make(tokenizer.vocabulary_size, arguments.context, ids["train"])
            trial = folder / f"{name}_{rate}"
            tried[rate] = train(model, ids, arguments, trial, max(arguments.steps // TRIAL, 1), rate)
        keras.utils.set_random_seed(0)
        model = make(tokenizer.vocabulary_size, arguments.context, ids["train"])
        rungs[name] = climb(model, ids, arguments, folder / name, rate=min(tried, key=tried.get))

    metrics = {"test_tokens": len(ids["test"]) - 1, "test_words": words["test"]}
    for name, rung in rungs.items():
        for split in SPLITS[1:]:
            loss = rung.pop(f"{split}_loss")
            rung[f"{split}_perplexity"] = math.exp(loss)
            rung[f"{split}_word_perplexity"] = math.exp(loss * (len(ids[split]) - 1) / words[split])
        metrics |= {f"{name}_{figure}": value for figure, value in rung.items()}
    print(table(rungs))
    with atomic_path(folder / "ladder.png") as temporary:
        draw(rungs, temporary)
    if arguments.result:
        data = {f"{arguments.train} ({split})": documents for split, documents in texts.items()}
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)
        shutil.copy(folder / "ladder.png", pathlib.Path(arguments.result).with_suffix(".png"))


def load_texts(arguments):
    """The documents of each split."""
    files = pathlib.Path(arguments.train).suffix == ".txt"
    sources = {
        split: (getattr(arguments, split), None) if files else (arguments.train, split) for split in SPLITS
    }
    return {split: [row["text"] for row in load(*source)] for split, source in sources.items()}


def count_words(text):
    """Words between spaces, and line ends."""
    return len(text.split()) + text.count("\n")


def count(order, vocabulary_size, ids):
    """Counts n-grams: losses, parameters and seconds."""
    started = time.perf_counter()
    model = NgramModel(order, vocabulary_size).fit(ids["train"])
    seconds = time.perf_counter() - started
    losses = {f"{split}_loss": model.loss(ids[split]) for split in SPLITS[1:]}
    print(f"{order}-gram: validation loss {losses['validation_loss']:.4f}", flush=True)
    return {"parameters": model.count_params(), "seconds": round(seconds, 1), **losses}


def make_lstm(vocabulary_size, context, train_ids):
    """Three layers, as wide as gives them the GPT-2's number of weights; logits, which our losses take."""
    layers = [keras.layers.LSTM(142, return_sequences=True, name=f"lstm_{i}") for i in range(3)]
    embedding = keras.layers.Embedding(vocabulary_size, 142, name="embedding")
    output = keras.layers.Dense(vocabulary_size, name="output")
    model = keras.Sequential([keras.Input([None], dtype="int32"), embedding, *layers, output])
    model.vocabulary_size, model.context_length = vocabulary_size, context
    set_output_bias(model, train_ids)
    return model


def make_gpt2(vocabulary_size, context, train_ids):
    """Four blocks; the output matrix is the embedding's, and there is no bias."""
    return GPT2Model(vocabulary_size, context, hidden_dim=128, num_layers=4, num_heads=4, dropout=0.0)


def climb(model, ids, arguments, folder, rate):
    """Trains a network and measures it: losses, parameters, seconds and learning rate."""
    started = time.perf_counter()
    train(model, ids, arguments, folder, arguments.steps, rate)
    seconds = time.perf_counter() - started
    losses = {
        f"{split}_loss": evaluate_language_model(model, ids[split], arguments.batch_size)["loss"]
        for split in SPLITS[1:]
    }
    facts = {"parameters": model.count_params(), "seconds": round(seconds, 1), "learning_rate": rate}
    return facts | losses


def train(model, ids, arguments, folder, steps, rate):
    """Trains a network, takes its best weights, and returns the loss on the first part of the validation text."""
    windows = [arguments.context, arguments.batch_size]
    glimpse = ids["validation"][: 20 * arguments.batch_size * arguments.context + 1]
    folder.mkdir(parents=True, exist_ok=True)
    scratch.fit(
        model,
        TokenWindows(ids["train"], *windows),
        TokenWindows(glimpse, *windows, shuffle=False),
        folder,
        steps=steps,
        evaluate_every=max(steps // 5, 1),
        learning_rate=rate,
        warmup=100,
        weight_decay=0.1,
        tokens_per_step=arguments.context * arguments.batch_size,
        keep=folder / "model.keras",
        title=folder.name,
        save_every=steps,
        metrics=[Perplexity()],
    )
    model.load_weights(folder / "model.keras")
    return evaluate_language_model(model, glimpse, arguments.batch_size)["loss"]


def table(rungs):
    """The figures of all models, as text for the terminal."""
    figures = ["validation_perplexity", "test_perplexity", "test_word_perplexity", "parameters", "seconds"]
    lines = ["".join([f"{'model':<8}", *(f"{figure.replace('_', ' '):>24}" for figure in figures)])]
    for name, rung in rungs.items():
        cells = [f"{rung[figure]:>24,.{0 if figure == 'parameters' else 1}f}" for figure in figures]
        lines.append("".join([f"{name:<8}", *cells]))
    return "\n".join(lines)


def draw(rungs, path):
    """A bar a model: its perplexity on the test text, written out."""
    from matplotlib.figure import Figure

    names = list(rungs)
    values = np.array([rungs[name]["test_perplexity"] for name in names])
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar([name.replace("_", "-") for name in names], values, color="tab:blue")
    axes.bar_label(bars, [f"{value:.0f}" for value in values])
    axes.set(yscale="log", ylabel="perplexity of a token", title="The same text, the same tokens")
    axes.minorticks_off()
    axes.set_yticks([10, 30, 100, 300, 1000, 3000], ["10", "30", "100", "300", "1,000", "3,000"])
    axes.set_ylim(0.8 * values.min(), 2 * values.max())  # room for the numbers
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

"""What reading without labels gains: an LSTM of three layers pretrained as a language model, and one that was not.

    python benchmarks/lstm_transfer.py --result results/lstm_transfer.json

Needs sst2/ and wikitext2/ in the folder that KERAS_LLM_DATA names. Pretraining is tried on two texts, the training
sentences of SST-2 without their labels, and a part of WikiText-2 before them. For the classifier three learning rates
are tried, from the weights of each text and from random ones with the same words, sizes and options; each side takes what
gives the best accuracy on the validation sentences with 1,000 labels. Then a classifier is trained with 100, 1,000 and
all labels, three seeds each; from pretrained weights the output layer learns alone first, then all layers, as ULMFiT in
its simplest form (Howard and Ruder 2018, section 3.3). The test sentences are read once by each. All validation
sentences choose when to stop, also where there are 100 labels. Every run is `keras-llm train lstm`; the folders and
gain.png stay under --output, and the picture stands beside the result, too.
"""

import argparse
import itertools
import pathlib
import shutil
import time

import keras
import numpy as np

from keras_llm.datasets import load
from keras_llm.files import atomic_path
from keras_llm.models import lstm
from keras_llm.recipes import runs
from keras_llm.recipes.lstm import train_lstm
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.results import write_result

SIZES = {"embedding": 64, "units": 64, "layers": 3, "vocabulary": 4000, "lowercase": True, "length": 32}
PRETRAINING = {"batch_size": 32, "learning_rate": 1e-2, "dropout": 0.1, "patience": 2}
EPOCHS = {100: 12, 1000: 8, None: 4}  # of the classifier, by number of labels; None is all
COLUMNS = {"text": 0, "label": 1}
RATES = (1e-2, 2e-3, 5e-4)  # of the classifier
FROZEN = {"pretrained": 2, "fresh": 0}  # epochs in which the output layer learns alone
SPLITS = ("train", "dev", "test")


def main():
    """Pretrains, chooses, trains on all numbers of labels, prints, draws and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1_000_000, help="characters of WikiText-2")
    parser.add_argument("--output", default="runs/lstm_transfer", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    rows = load("sst2/train.tsv", columns=COLUMNS)
    wiki = load("wikitext2/train.txt")[0]["text"][: arguments.limit]
    subsets = {labels: write_subset(folder, rows, labels) for labels in EPOCHS}

    own_text = "\n".join(row["text"] for row in rows)
    metrics, starts = {}, {"pretrained": [], "fresh": ["fresh_0"]}
    for name, text, epochs in (("sst2", own_text, 6), ("wikitext2_sst2", f"{wiki}\n{own_text}", 3)):
        metrics[f"{name}_language_model_loss"] = pretrain(folder, name, text, epochs)["validation_loss"]
        starts["pretrained"].append(name)
    make_fresh(folder / "sst2", folder / "fresh_0", seed=0)

    settings = {}
    for side, names in starts.items():
        tried = {}
        for name, rate in itertools.product(names, RATES):
            output = folder / f"try_{name}_{rate}"
            run = tune(subsets[1000], folder / name, output, EPOCHS[1000], rate, seed=0, frozen=FROZEN[side])
            tried[name, rate] = metrics[f"try_{name}_{rate}_validation_accuracy"] = run["validation_accuracy"]
        settings[side] = max(tried, key=tried.get)
        metrics |= {f"{side}_start": settings[side][0], f"{side}_learning_rate": settings[side][1]}

    curves = {}
    for labels, path in subsets.items():
        for side, seed in itertools.product(FROZEN, range(arguments.seeds)):
            start, rate = settings[side]
            if side == "fresh":
                start = f"fresh_{seed}"
                make_fresh(folder / settings["pretrained"][0], folder / start, seed)
            name = f"{side}_{labels or 'all'}"
            output = folder / f"{name}_{seed}"
            run = tune(
                path, folder / start, output, EPOCHS[labels], rate, seed, FROZEN[side], test="sst2/test.tsv"
            )
            metrics["parameters"] = run["parameters"]
            for split in ("validation", "test"):
                curves.setdefault(f"{name}_{split}_accuracy", []).append(run[f"{split}_accuracy"])
    for name, values in curves.items():
        metrics |= {f"{name}_{seed}": value for seed, value in enumerate(values)}
        metrics[f"{name}_mean"] = float(np.mean(values))
        print(f"{name}: {np.mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})")
    with atomic_path(folder / "gain.png") as temporary:
        draw(curves, len(rows), temporary)
    if arguments.result:
        data = {
            f"sst2/{split}.tsv": list(map(str, load(f"sst2/{split}.tsv", columns=COLUMNS)))
            for split in SPLITS
        }
        data["wikitext2/train.txt"] = wiki
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)
        shutil.copy(folder / "gain.png", pathlib.Path(arguments.result).with_suffix(".png"))


def write_subset(folder, rows, labels):
    """A file of so many labelled sentences, the first of a shuffled order: 100 are a part of 1,000."""
    order = np.random.default_rng(0).permutation(len(rows))[:labels]
    path = folder / f"labels_{labels or 'all'}.tsv"
    with atomic_path(path) as temporary:
        lines = [f"{rows[i]['text']}\t{rows[i]['label']}\n" for i in order]
        temporary.write_text("".join(lines), encoding="utf-8")
    return path


def pretrain(folder, name, text, epochs):
    """A language model of the text, whose last tenth is for validation."""
    path = folder / f"{name}.txt"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return train_lstm(
        task="language_model",
        data=str(path),
        epochs=epochs,
        output=str(folder / name),
        **SIZES,
        **PRETRAINING,
    )


def make_fresh(pretrained, folder, seed):
    """The same run with random weights to begin with."""
    folder.mkdir(exist_ok=True)
    for path in pretrained.iterdir():
        if path.suffix == ".json":
            shutil.copy(path, folder)
    keras.utils.set_random_seed(seed)
    model = lstm.build_model(
        "language_model",
        Tokenizer.from_pretrained(pretrained).vocabulary_size,
        embedding_dim=SIZES["embedding"],
        units=SIZES["units"],
        num_layers=SIZES["layers"],
    )
    model.save(folder / runs.MODEL)


def tune(data, start, output, epochs, rate, seed, frozen, test=None):
    """Trains a classifier on labelled sentences: the figures of `train_lstm`."""
    return train_lstm(
        data=str(data),
        validation="sst2/dev.tsv",
        test=test,
        text_column="0",
        label_column="1",
        start_from=str(start),
        frozen_epochs=frozen,
        epochs=epochs,
        patience=4,
        batch_size=32,
        learning_rate=rate,
        dropout=0.3,
        seed=seed,
        output=str(output),
        **SIZES,
    )


def draw(curves, everything, path):
    """Test accuracy by number of labels: the means as lines, the runs as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    counts = [labels or everything for labels in EPOCHS]
    for side, color in (("pretrained", "tab:blue"), ("fresh", "tab:gray")):
        runs_ = [curves[f"{side}_{labels or 'all'}_test_accuracy"] for labels in EPOCHS]
        axes.plot(counts, [np.mean(values) for values in runs_], color=color, label=side)
        for count, values in zip(counts, runs_):
            axes.scatter([count] * len(values), values, color=color, s=12)
    axes.set(xscale="log", xlabel="labelled sentences", ylabel="test accuracy")
    axes.minorticks_off()
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()

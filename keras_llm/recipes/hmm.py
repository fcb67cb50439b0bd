"""Count tags and words: a hidden Markov model that finds names, for taggers to be measured against."""

import pathlib
import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs
from keras_llm.recipes.options import Data, DataDir, Output, Result, Test, Validation
from keras_llm.recipes.rows import load_splits, require_columns, used_rows

COUNTS = "counts.json"


def train_hmm(
    data: Data = "entities_en",
    validation: Validation = None,
    test: Test = None,
    data_dir: DataDir = None,
    smoothing: Annotated[float, Option(help="What is added to each count, so that none is zero.")] = 0.01,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Count which tag follows which, and which word it gives: a tagger without a network."""
    arguments = dict(locals())
    started = time.perf_counter()
    from keras_llm.baselines.hmm import HmmTagger

    rows = load_splits(data, validation, test, data_dir)
    for part in rows.values():
        require_columns(part, "tokens", "tags")
    model = HmmTagger(smoothing)
    folder = runs.begin(output, "train hmm", arguments)
    model.fit([row["tokens"] for row in rows["train"]], [row["tags"] for row in rows["train"]])
    model.save(folder / COUNTS)
    print(
        f"HMM of {len(model.tags)} tags and {len(model.vocabulary):,} words on {len(rows['train']):,} sentences. "
        f"Everything goes to {folder}/"
    )

    metrics = {}
    for split in [split for split in ("validation", "test") if split in rows]:
        figures, text = _figures(model, rows[split])
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(f"{split}: {text}")
    used = used_rows(rows, data, validation, test)
    seconds = runs.finish(folder, metrics, started, used, {**arguments, "seed": None})
    print(f'{seconds:.0f} s in all.\nNext: keras-llm predict {folder} "Some text"')
    return metrics


def evaluate_hmm(folder, data, split, data_dir=None):
    """Measures a run of `train_hmm` on other rows: a dict of name to number, and the same as text."""
    from keras_llm.datasets import load

    rows = load(data, split, data_dir)
    require_columns(rows, "tokens", "tags")
    return _figures(open_hmm(folder), rows)


def hmm_entities(folder, texts):
    """The names in each text by a run of `train_hmm`: what `recipes.tag.find_entities` gives."""
    from keras_llm.evaluation.tagging import entities
    from keras_llm.recipes.tag import split_words

    words, spans = split_words(texts)
    tags = open_hmm(folder).predict(words)
    return [entities(text, own, places) for text, own, places in zip(texts, tags, spans)]


def open_hmm(folder):
    """The `HmmTagger` that a run of `train_hmm` left."""
    from keras_llm.baselines.hmm import HmmTagger

    runs.arguments_of(folder, "train hmm")
    return HmmTagger.load(pathlib.Path(folder) / COUNTS)


def _figures(model, rows):
    """The share of right tags and, where tags are BIO, the figures of whole names: a dict, and the same as text."""
    from keras_llm.evaluation.tagging import entity_metrics, is_bio

    gold, found = [row["tags"] for row in rows], model.predict([row["tokens"] for row in rows])
    pairs = [pair for own, said in zip(gold, found) for pair in zip(own, said)]
    figures = {"accuracy": sum(own == said for own, said in pairs) / len(pairs)}
    if all(map(is_bio, model.tags)):
        entities = entity_metrics(gold, found)
        figures |= {f"entity_{name}": entities[name] for name in ("f1", "precision", "recall")}
    return figures, ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())

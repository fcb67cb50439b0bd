"""What masked-LM pretraining on raw text gains: a small BERT fine-tuned after it, and the same one from nothing.

    python benchmarks/pretraining_gain.py --result results/bert_mlm_pretrain.json

By default on WikiText-2 and SST-2 as files in the folder that KERAS_LLM_DATA names. Every run is one of the commands
`train bert` and `train classify`, whose folders stay under --output. Both sides have the same tokenizer, sizes, rates and
seeds; the test sentences are looked at once for each seed and side.
"""

import argparse
import pathlib
import time

import keras
import numpy as np

from keras_llm.datasets import load
from keras_llm.models.bert import BertEncoder, BertMaskedLM
from keras_llm.recipes.bert import train_bert
from keras_llm.recipes.classify import train_classify
from keras_llm.tokenizers import Tokenizer
from keras_llm.training.results import write_result


def main():
    """Pretrains, fine-tunes on both sides for each seed, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", default="wikitext2/train.txt", help="raw text to pretrain on")
    parser.add_argument("--text-validation", default="wikitext2/valid.txt")
    parser.add_argument("--data", default="sst2", help="folder with train.tsv, dev.tsv and test.tsv")
    parser.add_argument("--size", default="tiny", help="a preset of BertEncoder")
    parser.add_argument("--steps", type=int, default=6000, help="of pretraining")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", default="runs/pretraining_gain", help="folder for the runs")
    parser.add_argument("--result", help="JSON file for the figures")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = pathlib.Path(arguments.output)
    figures = train_bert(
        data=arguments.text,
        validation=arguments.text_validation,
        size=arguments.size,
        steps=arguments.steps,
        evaluate_every=max(arguments.steps // 6, 1),
        learning_rate=2e-3,
        warmup=arguments.steps // 20,
        output=str(folder / "pretrained"),
    )
    metrics = {
        "parameters": figures["parameters"],
        "masked_loss": figures["validation_loss"],
        "masked_accuracy": figures["validation_accuracy"],
    }
    tuned = {"pretrained": [], "fresh": []}
    for seed in range(arguments.seeds):
        make_fresh(folder / "pretrained", folder / f"fresh_start_{seed}", arguments.size, seed)
        for side, start in (("pretrained", "pretrained"), ("fresh", f"fresh_start_{seed}")):
            tuned[side].append(tune(arguments.data, folder / start, folder / f"{side}_{seed}", seed))
    for side, runs in tuned.items():
        for split in ("validation", "test"):
            found = [run[f"{split}_accuracy"] for run in runs]
            metrics |= {f"{side}_{split}_accuracy_{seed}": value for seed, value in enumerate(found)}
            metrics[f"{side}_{split}_accuracy_mean"] = float(np.mean(found))
    for name, value in metrics.items():
        print(f"{name}: {value:.4f}")
    if arguments.result:
        columns = {"text": 0, "label": 1}
        data = {name: list(map(str, load(name))) for name in (arguments.text, arguments.text_validation)}
        for split in ("train", "dev", "test"):
            path = f"{arguments.data}/{split}.tsv"
            data[path] = list(map(str, load(path, columns=columns)))
        seconds = time.perf_counter() - started
        write_result(arguments.result, seed=0, data=data, wall_seconds=seconds, metrics=metrics)


def make_fresh(pretrained, folder, size, seed):
    """The same model with its random weights to begin with, and the same tokenizer."""
    keras.utils.set_random_seed(seed)
    tokenizer = Tokenizer.from_pretrained(pretrained)
    context = BertMaskedLM.from_pretrained(pretrained).encoder.context_length
    encoder = BertEncoder.from_preset(
        size, vocabulary_size=tokenizer.vocabulary_size, context_length=context, pooler=False
    )
    BertMaskedLM(encoder).save_pretrained(folder)
    tokenizer.save(folder)


def tune(data, start, output, seed):
    """Fine-tunes on the labelled sentences: the figures of `train_classify`."""
    return train_classify(
        data=f"{data}/train.tsv",
        validation=f"{data}/dev.tsv",
        test=f"{data}/test.tsv",
        text_column="0",
        label_column="1",
        start_from=str(start),
        length=64,
        epochs=5,
        patience=5,
        learning_rate=5e-4,
        dropout=0.2,
        seed=seed,
        output=str(output),
    )


if __name__ == "__main__":
    main()

"""Count the n-grams of your own text: the language model that the neural ones are measured against."""

import math
import pathlib
import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs
from keras_llm.recipes.gpt2 import Text, encode_texts, language_text, load_texts, make_tokenizer
from keras_llm.recipes.options import DataDir, Output, Result

COUNTS = "counts.safetensors"


def train_ngram(
    data: Text = "docstrings",
    data_dir: DataDir = None,
    order: Annotated[int, Option(help="Tokens that are counted together: 2 for pairs, 3 for triples.")] = 3,
    tokenizer: Annotated[
        str, Option(help="byte_bpe or character, trained on the training text; or a folder with a tokenizer.")
    ] = "byte_bpe",
    vocabulary: Annotated[int, Option(help="Tokens of a byte_bpe tokenizer.")] = 8192,
    limit: Annotated[
        int | None,
        Option(help="Use at most so many characters of training text, whole documents drawn at random."),
    ] = None,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Count the n-grams of a text: a language model without a network."""
    arguments = dict(locals())
    started = time.perf_counter()
    from keras_llm.baselines.ngram import NgramModel

    texts = {
        "train": load_texts(data, "train", data_dir, limit),
        "validation": load_texts(data, "validation", data_dir),
    }
    text_tokenizer = make_tokenizer(tokenizer, texts["train"], vocabulary)
    ids = {split: encode_texts(text_tokenizer, documents) for split, documents in texts.items()}
    model = NgramModel(order, text_tokenizer.vocabulary_size)
    folder = runs.begin(output, "train ngram", arguments)
    text_tokenizer.save(folder)
    print(f"{order}-grams of {len(ids['train']):,} tokens. Everything goes to {folder}/")
    model.fit(ids["train"]).save(folder / COUNTS)

    figures, text = _figures(model, ids["validation"])
    metrics = {f"validation_{name}": value for name, value in figures.items()}
    metrics["parameters"] = model.count_params()
    used = {data: texts["train"] + texts["validation"]}
    seconds = runs.finish(folder, metrics, started, used, {**arguments, "seed": None})
    print(
        f'validation: {text}; {seconds:.0f} s in all.\nNext: keras-llm generate {folder} "Once upon a time"'
    )
    return metrics


def evaluate_ngram(folder, data, split, data_dir=None):
    """Measures a run of `train_ngram` on a text: what `evaluate_gpt2` gives, of the same tokens."""
    model, tokenizer = open_ngram(folder)
    return _figures(model, encode_texts(tokenizer, load_texts(data, split, data_dir)))


def open_ngram(folder):
    """What a run of `train_ngram` left: an `NgramModel` and its tokenizer."""
    from keras_llm.baselines.ngram import NgramModel
    from keras_llm.tokenizers import Tokenizer

    runs.arguments_of(folder, "train ngram")
    return NgramModel.load(pathlib.Path(folder) / COUNTS), Tokenizer.from_pretrained(folder)


def write_ngram(folder, prompt, max_new_tokens, sampler, seed):
    """Writes on from a prompt, as `TextGenerator.stream` does: yields pieces of text."""
    import numpy as np

    from keras_llm.generation.generate import decode_stream

    model, tokenizer = open_ngram(folder)
    token_ids = tokenizer.encode(prompt)
    if not token_ids:
        raise ValueError("The prompt is empty; begin with at least one word.")
    draws = np.random.default_rng((seed, 0)).random(max_new_tokens, "float32")

    def write():
        for draw in draws:
            logits = np.log(model.probabilities(token_ids))[None]  # [1, vocabulary_size]
            seen = np.isin(np.arange(model.vocabulary_size), token_ids)[None]  # [1, vocabulary_size]
            token_ids.append(int(sampler.choose(logits, draw[None], seen)[0]))
            if token_ids[-1] == tokenizer.end_of_text_id:
                return
            yield token_ids[-1]

    return decode_stream(tokenizer, write())


def _figures(model, token_ids):
    """`loss`, `perplexity` and `tokens`, a dict, and the same as text."""
    loss = model.loss(token_ids)
    figures = {"loss": loss, "perplexity": math.exp(loss), "tokens": len(token_ids) - 1}
    return figures, language_text(figures)

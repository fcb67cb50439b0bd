"""Train a GPT-2 on your own text."""

import time
from typing import Annotated

import numpy as np
from typer import Option

from keras_llm.recipes import runs, scratch
from keras_llm.recipes.options import (
    Accumulate,
    DataDir,
    Output,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
)
from keras_llm.recipes.steps import known_precision

Text = Annotated[
    str, Option("--data", "-d", help="A text file, a folder of them, or a name from `keras-llm datasets`.")
]


def train_gpt2(
    data: Text = "docstrings",
    data_dir: DataDir = None,
    size: Annotated[str, Option(help="nano, mini, gpt2, gpt2-medium, gpt2-large or gpt2-xl.")] = "nano",
    layers: Annotated[int | None, Option(help="Number of blocks, instead of the size's.")] = None,
    heads: Annotated[int | None, Option(help="Attention heads a block, instead of the size's.")] = None,
    width: Annotated[int | None, Option(help="Hidden width, instead of the size's.")] = None,
    context: Annotated[int | None, Option(help="Tokens a window, instead of the size's.")] = None,
    start_from: Annotated[
        str | None, Option(help="Go on from a checkpoint: a run's folder, a Hugging Face folder or hub name.")
    ] = None,
    tokenizer: Annotated[
        str, Option(help="byte_bpe or character, trained on the training text; or a folder with a tokenizer.")
    ] = "byte_bpe",
    vocabulary: Annotated[
        int | None, Option(help="Tokens of a byte_bpe tokenizer; by default the size's.")
    ] = None,
    limit: Annotated[
        int | None,
        Option(help="Use at most so many characters of training text, whole documents drawn at random."),
    ] = None,
    steps: Annotated[int, Option(help="Training steps.")] = 2000,
    batch_size: Annotated[int, Option(help="Windows a step.")] = 12,
    learning_rate: Annotated[
        float, Option(help="The highest rate; it rises over the warmup, then falls to a tenth.")
    ] = 1e-3,
    warmup: Annotated[int, Option(help="Steps over which the rate rises.")] = 100,
    weight_decay: Annotated[float, Option(help="AdamW's decay of the weight matrices.")] = 0.1,
    dropout: Annotated[float, Option(help="Dropout rate.")] = 0.0,
    evaluate_every: Annotated[int, Option(help="Steps between two looks at the validation text.")] = 250,
    evaluate_on: Annotated[
        int, Option(help="Batches of validation text at each look; at the end all of it is used.")
    ] = 20,
    accumulate: Accumulate = 1,
    precision: Precision = "float32",
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    strategy: Strategy = "auto",
    seed: Seed = 0,
    tensorboard: Annotated[bool, Option(help="Also write logs for TensorBoard.")] = False,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Train a GPT-2 on your own text, from nothing or from a checkpoint."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.datasets.batches import TokenWindows
    from keras_llm.evaluation.language import evaluate_language_model
    from keras_llm.models.gpt2 import PRESETS, GPT2Model
    from keras_llm.training.losses import Perplexity

    # Text
    texts = {
        "train": load_texts(data, "train", data_dir, limit),
        "validation": load_texts(data, "validation", data_dir),
    }
    if start_from:
        model, text_tokenizer, _ = runs.open_causal(start_from)
        if model.dtype_policy.name != precision:
            weights = model.get_weights()
            model = GPT2Model.from_config({**model.get_config(), "dtype": known_precision(precision)})
            model.set_weights(weights)
    else:
        sizes = _sizes(PRESETS, size, layers, heads, width, context)
        text_tokenizer = make_tokenizer(
            tokenizer, texts["train"], vocabulary or sizes.get("vocabulary_size", 50257)
        )
        sizes["vocabulary_size"] = text_tokenizer.vocabulary_size
        model = GPT2Model(**sizes, dropout=dropout, dtype=known_precision(precision))
    ids = {split: encode_texts(text_tokenizer, documents) for split, documents in texts.items()}
    train = TokenWindows(
        ids["train"], model.context_length, batch_size, seed, vocabulary_size=model.vocabulary_size
    )
    glimpse = ids["validation"][: evaluate_on * batch_size * model.context_length + 1]
    validation = TokenWindows(glimpse, model.context_length, batch_size, shuffle=False)

    folder = runs.begin(output, "train gpt2", arguments)
    text_tokenizer.save(folder)
    print(
        f"GPT-2 of {model.count_params():,} parameters on {len(ids['train']):,} tokens "
        f"(validation: {len(ids['validation']):,}; vocabulary: {text_tokenizer.vocabulary_size:,}).\n"
        f"Everything goes to {folder}/"
    )

    scratch.fit(
        model,
        train,
        validation,
        folder,
        steps=steps,
        evaluate_every=evaluate_every,
        learning_rate=learning_rate,
        warmup=warmup,
        weight_decay=weight_decay,
        tokens_per_step=batch_size * model.context_length,
        keep=folder / runs.MODEL,
        title=f"GPT-2 ({size})",
        metrics=[Perplexity()],
        tensorboard=tensorboard,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
    )

    # The figures of the model that was kept, on the whole validation text
    model.load_weights(folder / runs.MODEL)
    figures = evaluate_language_model(model, ids["validation"], batch_size)
    metrics = {
        "validation_loss": figures["loss"],
        "validation_perplexity": figures["perplexity"],
        "validation_tokens": figures["tokens"],
        "parameters": model.count_params(),
    }
    used = {data: texts["train"] + texts["validation"]}
    seconds = runs.finish(folder, metrics, started, used, arguments)
    print(
        f"Validation loss {figures['loss']:.4f}, perplexity {figures['perplexity']:.2f} on {figures['tokens']:,} tokens; "
        f"{seconds:.0f} s in all.\n"
        f"Model, tokenizer and curves.png are in {folder}/\n"
        f'Next: keras-llm generate {folder} "Once upon a time"'
    )
    return metrics


def evaluate_gpt2(folder, data, split, data_dir=None, stride=None):
    """Measures a run of `train_gpt2`, or another GPT-2, on a text: what `evaluate_language_model` gives, and text."""
    from keras_llm.evaluation.language import evaluate_language_model

    model, tokenizer, _ = runs.open_causal(folder)
    token_ids = encode_texts(tokenizer, load_texts(data, split, data_dir))
    figures = evaluate_language_model(model, token_ids, stride=stride)
    return figures, language_text(figures)


def language_text(figures):
    """What `evaluate_language_model` found, as text."""
    return (
        f"loss {figures['loss']:.4f} nats a token, perplexity {figures['perplexity']:.2f}, "
        f"{figures['tokens']:,} tokens"
    )


def load_texts(data, split, data_dir=None, limit=None):
    """The texts of a split of a data set, a list of strings; with a limit, documents until it is reached.

    Which documents these are depends on the data and the limit alone; they keep their order.
    """
    from keras_llm.datasets import load

    rows = load(data, split, data_dir)
    if "text" not in rows[0]:
        raise ValueError(f"{data} has no column text, only {', '.join(rows[0])}.")
    texts = [row["text"] for row in rows]
    if limit is None:
        return texts
    if limit < 1:
        raise ValueError(f"--limit must be at least 1 character, not {limit}.")
    drawn, characters = [], 0
    for i in np.random.default_rng(0).permutation(len(texts)):
        if characters >= limit:
            break
        drawn.append(i)
        characters += len(texts[i])
    return [texts[i] if len(drawn) > 1 else texts[i][:limit] for i in sorted(drawn)]


def make_tokenizer(kind, texts, vocabulary_size):
    """A tokenizer trained on these texts, or read from the folder that `kind` names."""
    from keras_llm.tokenizers import Tokenizer

    if kind in ("byte_bpe", "character"):
        return Tokenizer.train(texts, kind, vocabulary_size)
    return Tokenizer.from_pretrained(kind)


def encode_texts(tokenizer, texts):
    """All texts as one int32 array, each followed by the end-of-text token where the tokenizer has one."""
    end = [] if tokenizer.end_of_text_id is None else [tokenizer.end_of_text_id]
    return np.concatenate([np.array(ids + end, "int32") for ids in tokenizer.encode(list(texts))])


def _sizes(presets, size, layers, heads, width, context):
    """The sizes of a preset, with what the user asked to be different."""
    if size not in presets:
        raise ValueError(f"--size {size} is not known; choose from {', '.join(presets)}.")
    wanted = {"num_layers": layers, "num_heads": heads, "hidden_dim": width, "context_length": context}
    return {**presets[size], **{name: value for name, value in wanted.items() if value is not None}}

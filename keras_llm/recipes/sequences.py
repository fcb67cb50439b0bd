"""What the recipes that train an encoder-decoder Transformer share."""

import pathlib
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs, scratch
from keras_llm.recipes.steps import known_precision

Size = Annotated[str, Option(help="nano, small or base.")]
Vocabulary = Annotated[int, Option(help="Tokens of the byte-level BPE that is trained on the training text.")]
Lowercase = Annotated[bool, Option(help="The and the are one word, also in what is written.")]
Length = Annotated[int, Option(help="Tokens of a source that are read.")]
Steps = Annotated[int, Option(help="Training steps.")]
TokensPerBatch = Annotated[
    int, Option(help="Tokens a step, padding counted, of sources and of targets each; short rows come many.")
]
LearningRate = Annotated[
    float, Option(help="The highest rate; it rises over the warmup, then falls to a tenth.")
]
Warmup = Annotated[int, Option(help="Steps over which the rate rises.")]
Dropout = Annotated[float | None, Option(help="Dropout rate, instead of the size's.")]
NormFirst = Annotated[
    bool, Option(help="Norms before the layers, which trains with less care; else after, as in the paper.")
]
LabelSmoothing = Annotated[
    float, Option(help="Share of a label's probability that is spread over all tokens.")
]
Averaging = Annotated[
    float, Option(help="The weights that are kept are averages over time with this factor; 0 for none.")
]
EvaluateEvery = Annotated[int, Option(help="Steps between two looks at the validation rows.")]
Beams = Annotated[int, Option(help="Texts that the search keeps at each step.")]
LengthPenalty = Annotated[float, Option(help="Above 0, long texts are not worse for being long.")]

TARGET = "target"  # folder of the targets' tokenizer, where they have one of their own
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def start(
    sources, targets, size, vocabulary, lowercase, separate, context_length, dropout, norm_first, precision
):
    """A fresh model, and the tokenizers of the sources and of the targets, which are one if not `separate`.

    Args:
        sources, targets: lists of strings, the training texts.
        size, vocabulary, lowercase, dropout, norm_first, precision: the options of these names.
        separate: whether sources and targets have vocabularies and embeddings of their own.
        context_length: tokens of the longest source and target.

    Raises:
        ValueError: an unknown size.
    """
    from keras_llm.models.transformer import PRESETS, Transformer

    if size not in PRESETS:
        raise ValueError(f"--size {size} is not known; choose from {', '.join(PRESETS)}.")
    texts = [sources, targets] if separate else [sources + targets]
    tokenizers = [_train_tokenizer(own, vocabulary, lowercase) for own in texts]
    model = Transformer.from_preset(
        size,
        vocabulary_size=tokenizers[0].vocabulary_size,
        target_vocabulary_size=tokenizers[1].vocabulary_size if separate else None,
        context_length=context_length,
        norm_first=norm_first,
        dtype=known_precision(precision),
        **({} if dropout is None else {"dropout": dropout}),
    )
    return model, tokenizers[0], tokenizers[-1]


def train(command, arguments, texts, used, measure, started):
    """Trains an encoder-decoder from nothing, measures the best model and writes it all down.

    Args:
        command: such as `"train translate"`.
        arguments: dict of its options: those above by their names, and `accumulate`, `output`, `precision`,
            `rematerialize`, `result`, `save_every`, `seed`, `tensorboard`, `weight_decay`; perhaps `separate`; and
            `summary_length`, where targets have a length of their own.
        texts: dict of split to a pair of lists of strings, sources and targets.
        used: dict of name to rows, see `runs.finish`.
        measure: a function of a `BeamSearch` and a split, which gives a dict of figures, and a text.
        started: `time.perf_counter()` at the beginning.

    Returns:
        The run's figures, a dict of name to number.
    """
    from keras_llm.generation import BeamSearch
    from keras_llm.training.losses import Perplexity

    length = arguments["length"]
    target_length = arguments.get("summary_length", length)
    names = "size", "vocabulary", "lowercase", "dropout", "norm_first", "precision"
    model, tokenizer, target_tokenizer = start(
        *texts["train"],
        context_length=max(length, target_length),
        separate=arguments.get("separate", False),
        **{name: arguments[name] for name in names},
    )
    batches = {
        split: make_batches(
            *texts[split],
            tokenizer,
            target_tokenizer,
            length,
            target_length,
            arguments["tokens_per_batch"],
            arguments["seed"] if split == "train" else None,
        )
        for split in ("train", "validation")
    }

    folder = runs.begin(arguments["output"], command, arguments)
    tokenizer.save(folder)
    if target_tokenizer is not tokenizer:
        target_tokenizer.save(folder / TARGET)
    left_out = len(texts["train"][0]) - batches["train"].num_rows
    print(
        f"Transformer of {model.count_params():,} parameters on {batches['train'].num_rows:,} pairs "
        f"({left_out:,} left out, whose target is empty or has more than {target_length} tokens; "
        f"validation: {len(texts['validation'][0]):,}; vocabulary: {model.vocabulary_size:,}).\n"
        f"Everything goes to {folder}/"
    )
    names = (
        "steps",
        "evaluate_every",
        "learning_rate",
        "warmup",
        "weight_decay",
        "tensorboard",
        "label_smoothing",
        "accumulate",
        "rematerialize",
        "save_every",
    )
    scratch.fit(
        model,
        batches["train"],
        batches["validation"],
        folder,
        tokens_per_step=arguments["tokens_per_batch"],
        keep=folder / runs.MODEL,
        title=f"Transformer ({arguments['size']})",
        metrics=[Perplexity()],
        averaging=arguments["averaging"] or None,
        # Batches come in about six lengths. XLA compiles a step for each, some seconds longer than without it, and
        # takes about a seventh less for a step (nano, 2 cores).
        jit_compile=arguments["steps"] >= 1000,
        **{name: arguments[name] for name in names},
    )

    model.load_weights(folder / runs.MODEL)  # the one that was kept
    search = BeamSearch(model, tokenizer, target_tokenizer)
    metrics = {"parameters": model.count_params()}
    for split in [split for split in ("validation", "test") if split in texts]:
        figures, text = measure(search, split)
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(f"{split}: {text}")
    seconds = runs.finish(folder, metrics, started, used, arguments)
    print(
        f"{seconds:.0f} s in all. Model, tokenizer and curves.png are in {folder}/\n"
        f"Next: keras-llm predict {folder} --file texts.txt"
    )
    return metrics


def _train_tokenizer(texts, vocabulary, lowercase):
    from keras_llm.tokenizers import Tokenizer

    special_tokens = ["[PAD]", "[BOS]", "<|endoftext|>"]  # ids 0, 1 and 2
    return Tokenizer.train(texts, "byte_bpe", vocabulary, special_tokens=special_tokens, lowercase=lowercase)


def make_batches(sources, targets, tokenizer, target_tokenizer, length, target_length, tokens, seed=None):
    """Batches of a source's and a target's token ids with the target's next tokens as labels.

    Args:
        sources, targets: lists of strings.
        tokenizer, target_tokenizer: of these.
        length: tokens of a source that are read.
        target_length: tokens of the longest target; pairs with a longer one are left out.
        tokens: see `PaddedBatches`, `tokens_per_batch`.
        seed: of the order; None for evaluation, in the order of the rows.

    Raises:
        ValueError: no target is short enough.
    """
    from keras_llm.datasets.batches import PaddedBatches

    pairs = zip(tokenizer.encode(list(sources)), target_tokenizer.encode(list(targets)))
    pairs = [(source[:length], target) for source, target in pairs if source and len(target) < target_length]
    if not pairs:
        raise ValueError(f"No pair has a target below {target_length} tokens.")
    lengths = [own for own in LENGTHS if own < length] + [length]
    features = {
        "source_ids": [source for source, _ in pairs],
        "target_ids": [[target_tokenizer.start_id, *target] for _, target in pairs],
    }
    return PaddedBatches(
        features,
        [[*target, target_tokenizer.end_of_text_id] for _, target in pairs],
        lengths={
            "source_ids": lengths,
            "target_ids": [*(min(own, target_length) for own in lengths[:-1]), target_length],
        },
        seed=seed or 0,
        shuffle=seed is not None,
        tokens_per_batch=tokens,
    )


def open_search(folder, command):
    """The search of a run: (`BeamSearch`, arguments of the run)."""
    from keras_llm.generation import BeamSearch
    from keras_llm.tokenizers import Tokenizer

    model, tokenizer, arguments = runs.open_run(folder, command)
    own = pathlib.Path(folder) / TARGET
    return BeamSearch(model, tokenizer, Tokenizer.from_pretrained(own) if own.is_dir() else None), arguments


def write(search, sources, length, max_new_tokens, beams, length_penalty):
    """The best target for each source, a list of strings; sources are read up to `length` tokens.

    An empty source has an empty target.
    """
    rows = [ids[:length] for ids in search.tokenizer.encode(list(sources))]
    found = search.search_ids(
        [ids for ids in rows if ids],
        beams,
        max_new_tokens,
        length_penalty,
        start_id=search.target_tokenizer.start_id,
        end_id=search.target_tokenizer.end_of_text_id,
    )
    texts = iter(search.target_tokenizer.decode([own[0].text for own in found]) if found else [])
    return [next(texts) if ids else "" for ids in rows]

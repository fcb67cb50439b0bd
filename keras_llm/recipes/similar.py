"""Fine-tune a BERT so that texts that belong together have near vectors (Reimers and Gurevych 2019, Sentence-BERT)."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import (
    Data,
    DataDir,
    LabelColumn,
    Output,
    PairColumn,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Test,
    TextColumn,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns, typed_columns

PAIRS = (("question", "context"), ("source", "target"), ("document", "summary"), ("text", "text_pair"))


def train_similar(
    data: Data = "questions_en",
    validation: Validation = None,
    test: Test = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    label: Annotated[
        str | None, Option(help="Where pairs have labels: the label of those that belong together.")
    ] = None,
    data_dir: DataDir = None,
    start_from: finetuning.StartFrom = None,
    size: finetuning.Size = "tiny",
    vocabulary: finetuning.Vocabulary = 8192,
    length: Annotated[int, Option(help="Tokens of a text that are read; the rest is cut off.")] = 128,
    epochs: finetuning.Epochs = 4,
    patience: finetuning.Patience = 2,
    batch_size: Annotated[
        int, Option(help="Pairs a step; each text is told from the second texts of all of them.")
    ] = 32,
    learning_rate: finetuning.LearningRate = 1e-4,
    dropout: finetuning.Dropout = 0.1,
    precision: Precision = "float32",
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Fine-tune a BERT so that texts that belong together have near vectors."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare("one", seed)
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.models.bert import BertPairRanker, BertSentenceEmbedder
    from keras_llm.training.losses import PairCrossEntropy

    columns = typed_columns(text=text_column, text_pair=pair_column, label=label_column)
    rows = load_splits(data, validation, test, data_dir, columns)
    pairs = {split: text_pairs(part, label) for split, part in rows.items()}
    firsts, seconds = zip(*pairs["train"])
    model, tokenizer = finetuning.start(
        BertSentenceEmbedder,
        start_from,
        size,
        vocabulary,
        length,
        [*firsts, *dict.fromkeys(seconds)],
        dropout,
        precision,
    )
    train = PaddedBatches(
        {"token_ids": encode(tokenizer, firsts, length), "pair_ids": encode(tokenizer, seconds, length)},
        np.zeros(len(firsts), "int32"),  # `PairCrossEntropy` wants each row's own second text
        batch_size,
        finetuning.lengths(length),
        seed,
        vocabulary_size=tokenizer.vocabulary_size,
    )

    folder = finetuning.begin(
        "train similar",
        arguments,
        model,
        tokenizer,
        f"{len(firsts):,} pairs of texts (validation: {len(pairs['validation']):,})",
    )
    finetuning.fit(
        BertPairRanker(model),
        train,
        lambda: rank_pairs(model, tokenizer, pairs["validation"], length),
        "mean_reciprocal_rank",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        rematerialize=rematerialize,
        save_every=save_every,
        title="BERT, near vectors",
        loss=PairCrossEntropy(),
    )

    def measure(part):
        return measure_pairs(model, tokenizer, text_pairs(part, label), length)

    example = '"Some text" --among lines.txt'
    return finetuning.finish(model, measure, rows, folder, arguments, started, example)


def evaluate_similar(folder, data, split, data_dir=None):
    """Measures a run of `train_similar`, or another embedder, on other rows: what `measure_pairs` gives."""
    from keras_llm.datasets import load
    from keras_llm.models.bert import BertSentenceEmbedder

    model, tokenizer, arguments = finetuning.load_run(folder, BertSentenceEmbedder, "train similar")
    columns = typed_columns(
        text=arguments.get("text_column"),
        text_pair=arguments.get("pair_column"),
        label=arguments.get("label_column"),
    )
    pairs = text_pairs(load(data, split, data_dir, columns), arguments.get("label"))
    return measure_pairs(model, tokenizer, pairs, arguments["length"])


def measure_pairs(model, tokenizer, pairs, length):
    """How well each first text finds its own among all second texts, by vectors and by words (TF-IDF).

    Args:
        model: a `BertSentenceEmbedder`.
        tokenizer: its tokenizer.
        pairs: list of pairs of strings.
        length: tokens of a text that are read.

    Returns:
        A dict of `accuracy_at_1` and `mean_reciprocal_rank`, the same of TF-IDF as `tfidf_accuracy_at_1` and
        `tfidf_mean_reciprocal_rank`, and these as text.
    """
    from keras_llm.baselines.tfidf import tfidf_vectors
    from keras_llm.evaluation.ranking import ranking_metrics

    firsts, candidates, right = _candidates(pairs)
    own = rank_pairs(model, tokenizer, pairs, length)
    words = ranking_metrics(*tfidf_vectors(firsts, candidates), right)
    lines = [f"the right one of {len(candidates):,} texts"]
    lines += [
        f"  {name:<8}accuracy@1 {figures['accuracy_at_1']:.4f}, "
        f"mean reciprocal rank {figures['mean_reciprocal_rank']:.4f}"
        for name, figures in (("BERT", own), ("TF-IDF", words))
    ]
    return own | {f"tfidf_{name}": value for name, value in words.items()}, "\n".join(lines)


def rank_pairs(model, tokenizer, pairs, length):
    """What `ranking_metrics` says of a `BertSentenceEmbedder` on pairs of texts."""
    from keras_llm.evaluation.ranking import ranking_metrics

    firsts, candidates, right = _candidates(pairs)
    queries = vectors_of(model, tokenizer, firsts, length)
    return ranking_metrics(queries, vectors_of(model, tokenizer, candidates, length), right)


def embed_texts(folder, texts):
    """The vectors of texts by a run of `train_similar`, or another BERT in Hugging Face's layout.

    Args:
        folder: of the run; or of a BERT, or its name on the hub.
        texts: list of strings. What is beyond the run's `--length` (256 tokens without a run) is not read.

    Returns:
        float32 `[n, hidden_dim]`, each of length 1: the product of two is their cosine.
    """
    from keras_llm.models.bert import BertSentenceEmbedder

    model, tokenizer, arguments = finetuning.load_run(folder, BertSentenceEmbedder, "train similar")
    return vectors_of(model, tokenizer, texts, arguments["length"])


def rank_texts(folder, query, texts, top=5):
    """Finds the texts nearest to a query, by a run of `train_similar` or another BERT.

    Args:
        folder: see `embed_texts`.
        query: a string, or a list of them.
        texts: list of strings to search.
        top: how many to give.

    Returns:
        A list of dicts, the nearest first: `text`, `place` (its number in `texts`) and `score`, the cosine; for a
        list of queries a list of such lists.
    """
    queries = [query] if isinstance(query, str) else list(query)
    vectors = embed_texts(folder, [*queries, *texts])
    scores = vectors[: len(queries)] @ vectors[len(queries) :].T  # [queries, texts]
    found = [
        [
            {"text": texts[place], "place": int(place), "score": float(own[place])}
            for place in (-own).argsort(kind="stable")[:top]
        ]
        for own in scores
    ]
    return found[0] if isinstance(query, str) else found


def text_pairs(rows, label=None):
    """The two texts of each row, a list of pairs; of labelled pairs those with this label.

    Raises:
        ValueError: the rows have no two texts; they have labels and `label` is none of them; or they have none.
    """
    names = next((pair for pair in PAIRS if set(pair) <= set(rows[0])), None)
    if names is None:
        known = "; ".join(f"{first} and {second}" for first, second in PAIRS)
        raise ValueError(f"The data have only {', '.join(rows[0])}; two texts a row are needed: {known}.")
    if label is not None:
        require_columns(rows, "label")
    if "label" in rows[0]:
        labels = sorted({row["label"] for row in rows})
        if label not in labels:
            raise ValueError(
                f"--label must say which pairs belong together; their labels are {', '.join(labels[:8])}."
            )
        rows = [row for row in rows if row["label"] == label]
    return [tuple(row[name] for name in names) for row in rows]


def encode(tokenizer, texts, length):
    """Token ids of each text, with `[CLS]` and `[SEP]`, cut to `length`; equal texts are encoded once."""
    unique = list(dict.fromkeys(texts))
    cut = [
        ids if len(ids) <= length else [*ids[: length - 1], tokenizer.separator_id]
        for ids in tokenizer.encode(unique)
    ]
    encoded = dict(zip(unique, cut))
    return [encoded[text] for text in texts]


def vectors_of(model, tokenizer, texts, length, batch_size=64):
    """The vectors of texts, float32 `[n, hidden_dim]`."""
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.evaluation.predictions import predict

    features = {"token_ids": encode(tokenizer, texts, length)}
    batches = PaddedBatches(features, None, batch_size, finetuning.lengths(length), shuffle=False)
    return np.stack(predict(model, batches))


def _candidates(pairs):
    """First texts, the different second texts, and which of these belongs to each first one."""
    firsts, seconds = zip(*pairs)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(seconds))}
    return list(firsts), list(numbers), [numbers[second] for second in seconds]

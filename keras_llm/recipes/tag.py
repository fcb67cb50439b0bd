"""Fine-tune a BERT to find names in text: a tag for each word (Devlin et al. 2019, section 5.3)."""

import time

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import (
    Accumulate,
    Data,
    DataDir,
    Output,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
    Test,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns

OVERLAP = 32  # pieces that two windows of a long sentence share


def train_tag(
    data: Data = "entities_en",
    validation: Validation = None,
    test: Test = None,
    data_dir: DataDir = None,
    start_from: finetuning.StartFrom = None,
    size: finetuning.Size = "tiny",
    vocabulary: finetuning.Vocabulary = 8192,
    length: finetuning.Length = 128,
    epochs: finetuning.Epochs = 10,
    patience: finetuning.Patience = 4,
    batch_size: finetuning.BatchSize = 32,
    learning_rate: finetuning.LearningRate = 2e-4,
    dropout: finetuning.Dropout = 0.1,
    accumulate: Accumulate = 1,
    precision: Precision = "float32",
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    strategy: Strategy = "auto",
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Fine-tune a BERT to find names in text: a tag for each word."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import word_windows
    from keras_llm.models.bert import BertTokenClassifier

    rows = load_splits(data, validation, test, data_dir)
    for part in rows.values():
        require_columns(part, "tokens", "tags")
    names = sorted({tag for row in rows["train"] for tag in row["tags"]})
    model, tokenizer = finetuning.start(
        BertTokenClassifier,
        start_from,
        size,
        vocabulary,
        length,
        [" ".join(row["tokens"]) for row in rows["train"]],
        dropout,
        precision,
        num_classes=len(names),
        labels=names,
    )
    windows = word_windows(
        tokenizer,
        [row["tokens"] for row in rows["train"]],
        length,
        min(OVERLAP, length // 4),
        [row["tags"] for row in rows["train"]],
        names,
    )
    train = PaddedBatches(
        {"token_ids": windows.token_ids},
        windows.labels,
        batch_size,
        finetuning.lengths(length),
        seed,
        vocabulary_size=tokenizer.vocabulary_size,
    )

    folder = finetuning.begin(
        "train tag",
        arguments,
        model,
        tokenizer,
        f"{len(rows['train']):,} sentences (validation: {len(rows['validation']):,}; "
        f"tags: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''})",
    )

    def measure(part):
        return measure_tags(model, tokenizer, part, length)

    finetuning.fit(
        model,
        train,
        lambda: measure(rows["validation"])[0],
        "entity_f1",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
        title="BERT, names in text",
    )
    return finetuning.finish(model, measure, rows, folder, arguments, started, '"Some text"')


def evaluate_tag(folder, data, split, data_dir=None):
    """Measures a run of `train_tag`, or another BIO tagger, on other rows: what `measure_tags` gives."""
    from keras_llm.datasets import load
    from keras_llm.models.bert import BertTokenClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertTokenClassifier, "train tag")
    rows = load(data, split, data_dir)
    require_columns(rows, "tokens", "tags")
    return measure_tags(model, tokenizer, rows, arguments["length"])


def measure_tags(model, tokenizer, rows, length):
    """How good a tagger is on rows with `tokens` and `tags`.

    Returns:
        A dict of `entity_f1`, `entity_precision` and `entity_recall`, and a table as text.
    """
    from keras_llm.evaluation.tagging import entity_metrics

    tags = predict_tags(model, tokenizer, [row["tokens"] for row in rows], length)
    figures = entity_metrics([row["tags"] for row in rows], tags)
    text = (
        f"F1 {figures['f1']:.4f}, precision {figures['precision']:.4f}, recall {figures['recall']:.4f}\n"
        f"{entity_table(figures)}\n"
    )
    return {f"entity_{name}": figures[name] for name in ("f1", "precision", "recall")}, text


def find_entities(folder, texts):
    """The names in each text by a run of `train_tag`, or another BIO tagger in Hugging Face's layout.

    Args:
        folder: of the run.
        texts: list of strings; cut into words and punctuation marks, Chinese into characters.

    Returns:
        For each text a list of dicts: `type`, `start`, `end` (in characters) and `text`.
    """
    from keras_llm.evaluation.tagging import entities
    from keras_llm.models.bert import BertTokenClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertTokenClassifier, "train tag")
    words, spans = split_words(texts)
    tags = predict_tags(model, tokenizer, words, arguments["length"])
    return [entities(text, own, places) for text, own, places in zip(texts, tags, spans)]


def split_words(texts):
    """The words of each text, lists of strings, and the place of each, lists of (start, end) in characters."""
    from keras_llm.datasets.segmentation import WORD_OR_MARK

    spans = [[match.span() for match in WORD_OR_MARK.finditer(text)] for text in texts]
    return [[text[start:end] for start, end in own] for text, own in zip(texts, spans)], spans


def predict_tags(model, tokenizer, sentences, length, batch_size=64):
    """A tag name for each word of each sentence (lists of words)."""
    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import join_tags, word_windows
    from keras_llm.evaluation.predictions import predict

    windows = word_windows(tokenizer, sentences, length, min(OVERLAP, length // 4))
    features = {"token_ids": windows.token_ids}
    batches = PaddedBatches(features, None, batch_size, finetuning.lengths(length), shuffle=False)
    tag_ids = [logits.argmax(axis=-1) for logits in predict(model, batches)]  # [length] each
    return join_tags(tag_ids, windows, model.labels)


def entity_table(figures):
    """What `entity_metrics` found, as text for the terminal."""
    lines = [f"{'type':<16}{'precision':>10}{'recall':>10}{'F1':>10}{'names':>8}"]
    for name, own in [*figures["per_type"].items(), ("all", {**figures, "support": figures["entities"]})]:
        lines.append(
            f"{name:<16}{own['precision']:>10.3f}{own['recall']:>10.3f}{own['f1']:>10.3f}{own['support']:>8}"
        )
    return "\n".join(lines)

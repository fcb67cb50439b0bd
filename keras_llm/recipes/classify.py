"""Fine-tune a BERT to put a label on texts, or on pairs of texts (Devlin et al. 2019, section 4.1)."""

import functools
import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import (
    Accumulate,
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
    Strategy,
    Test,
    TextColumn,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns, typed_columns

OVERLAP = 32  # tokens that two windows of a long text share


def train_classify(
    data: Data = "topics_en",
    validation: Validation = None,
    test: Test = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    data_dir: DataDir = None,
    start_from: finetuning.StartFrom = None,
    size: finetuning.Size = "tiny",
    vocabulary: finetuning.Vocabulary = 8192,
    length: finetuning.Length = 128,
    epochs: finetuning.Epochs = 4,
    patience: finetuning.Patience = 2,
    batch_size: finetuning.BatchSize = 32,
    learning_rate: finetuning.LearningRate = 1e-4,
    dropout: finetuning.Dropout = 0.1,
    r_drop: Annotated[
        float,
        Option(
            help="Read each text twice, with other dropout, and train with this weight against differences (R-Drop): "
            "twice the time, often a better result from few texts."
        ),
    ] = 0.0,
    pooling: Annotated[
        str,
        Option(
            help="What the label is read off: cls, the first token, as BERT has it; or mean, all tokens, which suits "
            "sentence-transformers' models but cannot be taken to Hugging Face."
        ),
    ] = "cls",
    soup: Annotated[
        int,
        Option(help="Train so many times and keep the mean of the weights: often better than each (a soup)."),
    ] = 1,
    accumulate: Accumulate = 1,
    precision: Precision = "float32",
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    strategy: Strategy = "auto",
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Fine-tune a BERT to put a label on texts, or on pairs of texts."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.models.bert import BertClassifier
    from keras_llm.training.losses import RDropCrossEntropy

    columns = typed_columns(text=text_column, text_pair=pair_column, label=label_column)
    rows = load_splits(data, validation, test, data_dir, columns)
    for part in rows.values():
        require_columns(part, "text", "label")
    labels = sorted({row["label"] for row in rows["train"]})
    label_ids = {split: _label_ids(part, labels) for split, part in rows.items()}
    texts = [row[column] for row in rows["train"] for column in ("text", "text_pair") if column in row]
    model, tokenizer = finetuning.start(
        BertClassifier,
        start_from,
        size,
        vocabulary,
        length,
        texts,
        dropout,
        precision,
        num_classes=len(labels),
        labels=labels,
        pooling=pooling,
    )
    train, _ = make_batches(
        rows["train"], tokenizer, length, batch_size, label_ids["train"], seed, copies=2 if r_drop else 1
    )

    folder = finetuning.begin(
        "train classify",
        arguments,
        model,
        tokenizer,
        f"{len(rows['train']):,} texts (validation: {len(rows['validation']):,}; "
        f"labels: {', '.join(labels[:8])}{' ...' if len(labels) > 8 else ''})",
    )
    fit = finetuning.fit if soup == 1 else functools.partial(finetuning.fit_soup, soup)
    fit(
        model,
        train,
        lambda: measure_labels(model, tokenizer, rows["validation"], length)[0],
        "accuracy",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
        title="BERT, labels of texts",
        loss=RDropCrossEntropy(r_drop) if r_drop else None,
    )

    def measure(part):
        return measure_labels(model, tokenizer, part, length, folder / "confusion.png")

    return finetuning.finish(model, measure, rows, folder, arguments, started, '"Some text"')


def evaluate_classify(folder, data, split, data_dir=None):
    """Measures a run of `train_classify`, or another classifier, on other rows: what `measure_labels` gives."""
    from keras_llm.datasets import load
    from keras_llm.models.bert import BertClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertClassifier, "train classify")
    columns = typed_columns(
        text=arguments.get("text_column"),
        text_pair=arguments.get("pair_column"),
        label=arguments.get("label_column"),
    )
    rows = load(data, split, data_dir, columns)
    require_columns(rows, "text", "label")
    return measure_labels(model, tokenizer, rows, arguments["length"])


def measure_labels(model, tokenizer, rows, length, picture=None):
    """How good a classifier is on rows with `text` and `label`.

    Args:
        model: a `BertClassifier`.
        tokenizer: its tokenizer.
        rows: list of dicts.
        length: tokens of a window.
        picture: path of a PNG file for the confusion matrix, or None.

    Returns:
        A dict of `accuracy` and `macro_f1`, and a table as text.
    """
    from keras_llm.evaluation.classification import class_table, classification_metrics, draw_confusion

    label_ids = _label_ids(rows, model.labels)
    predicted = class_probabilities(model, tokenizer, rows, length).argmax(axis=1)
    figures = classification_metrics(label_ids, predicted, model.labels)
    if picture is not None:
        draw_confusion(figures, model.labels, picture)
    accuracy, macro_f1 = figures["accuracy"], figures["macro"]["f1"]
    text = f"accuracy {accuracy:.4f}, macro F1 {macro_f1:.4f}\n{class_table(figures)}\n"
    return {"accuracy": accuracy, "macro_f1": macro_f1}, text


def predict_labels(folder, texts, pairs=None):
    """The label of each text by a run of `train_classify`, or another classifier in Hugging Face's layout.

    Args:
        folder: of the run.
        texts: list of strings.
        pairs: list of the second texts, where the model reads pairs.

    Returns:
        A list of dicts: `label`, and `probabilities`, a dict of label to probability.
    """
    from keras_llm.models.bert import BertClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertClassifier, "train classify")
    rows = [{"text": text} for text in texts]
    if pairs is not None:
        rows = [{"text": text, "text_pair": pair} for text, pair in zip(texts, pairs)]
    scores = class_probabilities(model, tokenizer, rows, arguments["length"])
    return [
        {
            "label": model.labels[row.argmax()],
            "probabilities": dict(zip(model.labels, map(float, row))),
        }
        for row in scores
    ]


def class_probabilities(model, tokenizer, rows, length, batch_size=64):
    """Probabilities `[num_rows, num_classes]`; of a text in several windows, their mean."""
    import keras
    import numpy as np

    from keras_llm.datasets.windows import join_scores
    from keras_llm.evaluation.predictions import predict

    batches, owners = make_batches(rows, tokenizer, length, batch_size)
    logits = np.stack(predict(model, batches))  # [num_windows, num_classes]
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits.astype("float32")))
    return join_scores(probabilities, owners, len(rows))


def make_batches(rows, tokenizer, length, batch_size, label_ids=None, seed=0, copies=1):
    """Batches of windows, shuffled if there are labels, and the number of the row that each window is of."""
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import text_windows

    if "text_pair" in rows[0]:
        pairs = tokenizer.encode_with_segments(
            [row["text"] for row in rows], [row["text_pair"] for row in rows]
        )
        windows = [_cut_pair(*pair, length) for pair in pairs]
        owners = np.arange(len(rows))
        features = {
            "token_ids": [ids for ids, _ in windows],
            "segment_ids": [segments for _, segments in windows],
        }
    else:
        special = {tokenizer.class_id, tokenizer.separator_id}
        encoded = [ids[1:-1] for ids in tokenizer.encode([row["text"] for row in rows])]
        windows = [
            text_windows(
                [index for index in ids if index not in special],
                length,
                min(OVERLAP, length // 4),
                tokenizer.class_id,
                tokenizer.separator_id,
            )
            for ids in encoded
        ]
        owners = np.repeat(np.arange(len(rows)), [len(own) for own in windows])
        features = {"token_ids": [window for own in windows for window in own]}
    labels = None if label_ids is None else np.asarray(label_ids)[owners]
    batches = PaddedBatches(
        features,
        labels,
        batch_size,
        finetuning.lengths(length),
        seed,
        shuffle=labels is not None,
        vocabulary_size=tokenizer.vocabulary_size,
        copies=copies,
    )
    return batches, owners


def _cut_pair(token_ids, segment_ids, length):
    """Takes tokens off the end of the longer of the two texts until the pair fits."""
    token_ids, segment_ids = list(token_ids), list(segment_ids)
    while len(token_ids) > length:
        first = segment_ids.count(0)
        last = first if first - 2 > len(token_ids) - first - 1 else len(token_ids)
        del token_ids[last - 2], segment_ids[last - 2]  # the token before a text's [SEP]
    return token_ids, segment_ids


def _label_ids(rows, labels):
    known = {label: i for i, label in enumerate(labels)}
    unknown = sorted({row["label"] for row in rows} - set(known))
    if unknown:
        raise ValueError(f"There are rows with the label {unknown[0]!r}, which no training row has.")
    return [known[row["label"]] for row in rows]

"""Train an LSTM: a label a text, a label a token, or the next token."""

import pathlib
import time
from typing import Annotated

from typer import Option

from keras_llm.files import read_json, write_json
from keras_llm.recipes import runs
from keras_llm.recipes.options import (
    Data,
    DataDir,
    LabelColumn,
    Output,
    Result,
    SaveEvery,
    Seed,
    Test,
    TextColumn,
    Validation,
)
from keras_llm.recipes.rows import load_splits, typed_columns, used_rows

# The options that a run and the one that it starts from must share.
SHARED = ("chinese", "lowercase", "vocabulary", "cell", "bidirectional", "embedding", "units", "layers")


def train_lstm(
    task: Annotated[
        str, Option(help="classifier (a label a text), tagger (a label a token) or language_model.")
    ] = "classifier",
    data: Data = "topics_en",
    validation: Validation = None,
    test: Test = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    data_dir: DataDir = None,
    chinese: Annotated[
        str, Option(help="Chinese text is cut into characters or words (words need jieba).")
    ] = "characters",
    lowercase: Annotated[bool, Option(help="The and the are one word.")] = False,
    vocabulary: Annotated[int, Option(help="The most words to know.")] = 10_000,
    length: Annotated[int, Option(help="Tokens of a text that are read; the rest is cut off.")] = 64,
    cell: Annotated[str, Option(help="lstm or gru.")] = "lstm",
    bidirectional: Annotated[bool, Option(help="Read in both directions.")] = False,
    embedding: Annotated[int, Option(help="Width of the word vectors.")] = 64,
    units: Annotated[int, Option(help="Width of the state.")] = 128,
    layers: Annotated[int, Option(help="Recurrent layers.")] = 1,
    dropout: Annotated[float, Option(help="Dropout rate.")] = 0.3,
    epochs: Annotated[int, Option(help="Passes over the training data, at most.")] = 20,
    patience: Annotated[
        int, Option(help="Stop after so many passes without a better validation figure.")
    ] = 5,
    batch_size: Annotated[int, Option(help="Texts a step.")] = 32,
    learning_rate: Annotated[float, Option(help="Adam's.")] = 1e-3,
    averaging: Annotated[
        float | None, Option(help="Average the weights over time with this factor, such as 0.99.")
    ] = None,
    start_from: Annotated[
        str | None,
        Option(
            help="A run of this command with --task language_model: its tokenizer and its layers but the last."
        ),
    ] = None,
    frozen_epochs: Annotated[
        int,
        Option(help="Passes before the others in which what --start-from or --vectors gave is not changed."),
    ] = 0,
    vectors: Annotated[
        str | None, Option(help="Word vectors to begin with: a text file in word2vec's or GloVe's format.")
    ] = None,
    save_every: SaveEvery = 500,
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Train an LSTM: a label a text, a label a token, or the next token."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare("one", seed)
    import keras

    from keras_llm.checkpoints.word_vectors import fill_embedding
    from keras_llm.datasets.batches import ArrayBatches
    from keras_llm.models import lstm
    from keras_llm.training import resuming
    from keras_llm.training.callbacks import AveragedWeights, Curves, Guard, Measure, Progress, SaveBest
    from keras_llm.training.optimizers import AdamW

    if frozen_epochs and not (start_from or vectors):
        raise ValueError("--frozen-epochs needs --start-from or --vectors: random weights have to learn.")
    columns = typed_columns(text=text_column, label=label_column)
    rows = load_splits(data, validation, test, data_dir, columns)
    if start_from:
        pretrained, tokenizer = _open_pretrained(start_from, arguments)
    else:
        tokenizer = lstm.train_tokenizer(rows["train"], vocabulary, lowercase, chinese)
    labels = None if task == "language_model" else lstm.label_names(rows["train"])
    arrays = {
        split: lstm.preprocess_data(rows[split], tokenizer, labels, length, task)
        for split in ("train", "validation")
    }
    model = lstm.build_model(
        task,
        tokenizer.vocabulary_size,
        labels and len(labels),
        embedding_dim=embedding,
        units=units,
        num_layers=layers,
        cell=cell,
        bidirectional=bidirectional,
        dropout=dropout,
    )
    if task == "language_model":
        lstm.set_output_bias(model, arrays["train"][1])
    if start_from:
        lstm.transfer_weights(pretrained, model)
    if vectors:
        filled = fill_embedding(model.get_layer("embedding"), tokenizer.vocabulary, vectors)
        print(f"{filled:,} of {len(tokenizer.vocabulary):,} words have their vector from {vectors}")

    folder = runs.begin(output, "train lstm", arguments)
    tokenizer.save(folder)
    write_json(folder / runs.LABELS, labels)
    print(
        f"{cell.upper()} {task} of {model.count_params():,} parameters on {len(rows['train']):,} rows "
        f"(validation: {len(rows['validation']):,}; vocabulary: {tokenizer.vocabulary_size:,}"
        f"{'' if labels is None else f'; labels: {len(labels)}'}).\nEverything goes to {folder}/"
    )
    entities = _finds_entities(task, labels)
    monitor = "val_entity_f1" if entities else "val_accuracy"
    measure = [Measure(lambda: _entity_figures(model, tokenizer, labels, rows["validation"]))]
    train = ArrayBatches(*arrays["train"], batch_size, seed)
    steps = train.steps_per_epoch * (frozen_epochs + epochs)
    best = SaveBest(folder / runs.MODEL, monitor, "max", patience)
    callbacks = [
        Guard(),
        *(measure if entities else []),
        best,
        Progress(steps, batch_size, "texts", monitor=(monitor,)),
        Curves(folder, "loss", monitor, title=f"{cell.upper()} {task}"),
    ]
    given = model.layers[:-1] if start_from else [model.get_layer("embedding")]
    for stage, frozen, passes in (("frozen", True, frozen_epochs), ("", False, epochs)):
        if not passes:
            continue
        for layer in given:
            layer.trainable = not frozen
        average = {} if averaging is None else {"use_ema": True, "ema_momentum": averaging}
        optimizer = AdamW(learning_rate, weight_decay=0.0, beta_2=0.999, epsilon=1e-7, **average)
        lstm.compile_model(model, optimizer)
        best.waited = 0
        resuming.fit(
            model,
            train,
            folder / stage,
            epochs=passes,
            steps_per_epoch=train.steps_per_epoch,
            # The average belongs to this stage's optimizer.
            callbacks=[*([AveragedWeights()] if average else []), *callbacks],
            save_every=save_every,
            validation=ArrayBatches(*arrays["validation"], batch_size, shuffle=False),
        )
        train.first_batch += passes * train.steps_per_epoch

    model = keras.saving.load_model(folder / runs.MODEL, compile=False)
    metrics = {"parameters": model.count_params()}
    for split in [split for split in ("validation", "test") if split in rows]:
        figures, text = _figures(model, tokenizer, labels, rows[split], arguments)
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(f"{split}: {text}")
    used = used_rows(rows, data, validation, test)
    seconds = runs.finish(folder, metrics, started, used, arguments)
    print(f"{seconds:.0f} s in all. Model, tokenizer and curves.png are in {folder}/")
    return metrics


def _open_pretrained(folder, arguments):
    """The language model and the tokenizer of `--start-from`.

    Raises:
        ValueError: the run is of another task, or its words or sizes are not those of the new run.
    """
    model, tokenizer, own = runs.open_run(folder, "train lstm")
    if own["task"] != "language_model":
        raise ValueError(f"--start-from {folder} is a {own['task']}; give a run with --task language_model.")
    for name in SHARED:
        if own[name] != arguments[name]:
            raise ValueError(
                f"--start-from {folder} has {name} {own[name]}, but this run {arguments[name]}. They must be equal: "
                f"--config {folder}/run.json repeats all options that are not given anew."
            )
    return model, tokenizer


def evaluate_lstm(folder, data, split, data_dir=None):
    """Measures a run of `train_lstm` on other rows: a dict of name to number, and the same as text."""
    from keras_llm.datasets import load

    model, tokenizer, arguments = runs.open_run(folder, "train lstm")
    columns = typed_columns(text=arguments["text_column"], label=arguments["label_column"])
    rows = load(data, split, data_dir, columns)
    labels = read_json(pathlib.Path(folder) / runs.LABELS)
    return _figures(model, tokenizer, labels, rows, arguments)


def lstm_labels(folder, texts):
    """The label of each text by a classifier of `train_lstm`: what `recipes.classify.predict_labels` gives."""
    from keras_llm.models import lstm

    model, tokenizer, arguments = runs.open_run(folder, "train lstm")
    labels = read_json(pathlib.Path(folder) / runs.LABELS)
    scores = model.predict_on_batch(lstm.encode_texts(texts, tokenizer, arguments["length"]))
    return [
        {"label": labels[row.argmax()], "probabilities": dict(zip(labels, map(float, row)))} for row in scores
    ]


def lstm_entities(folder, texts):
    """The names in each text by a tagger of `train_lstm`: what `recipes.tag.find_entities` gives."""
    from keras_llm.evaluation.tagging import entities
    from keras_llm.models import lstm
    from keras_llm.recipes.tag import split_words

    model, tokenizer, _ = runs.open_run(folder, "train lstm")
    labels = read_json(pathlib.Path(folder) / runs.LABELS)
    words, spans = split_words(texts)
    tags = lstm.predict_tags(model, tokenizer, labels, words)
    return [entities(text, own, places) for text, own, places in zip(texts, tags, spans)]


def _finds_entities(task, labels):
    """Whether it is a tagger of names, which is judged by whole names and not by tags."""
    from keras_llm.evaluation.tagging import is_bio

    return task == "tagger" and all(map(is_bio, labels))


def _entity_figures(model, tokenizer, labels, rows):
    """Precision, recall and F1 of whole names: a dict."""
    from keras_llm.evaluation.tagging import entity_metrics
    from keras_llm.models import lstm

    tags = lstm.predict_tags(model, tokenizer, labels, [row["tokens"] for row in rows])
    figures = entity_metrics([row["tags"] for row in rows], tags)
    return {f"entity_{name}": figures[name] for name in ("f1", "precision", "recall")}


def _figures(model, tokenizer, labels, rows, arguments):
    """Accuracy, loss and, of a tagger of names, what `_entity_figures` gives: a dict, and the same as text."""
    from keras_llm.models import lstm

    task = arguments["task"]
    arrays = lstm.preprocess_data(rows, tokenizer, labels, arguments["length"], task)
    own = lstm.evaluate_model(model, *arrays)
    figures = {"accuracy": own["accuracy"], "loss": own["loss"]}
    if _finds_entities(task, labels):
        figures |= _entity_figures(model, tokenizer, labels, rows)
    return figures, ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())

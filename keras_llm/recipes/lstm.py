"""Train an LSTM: a label a text, a label a token, or the next token."""

import time
from typing import Annotated

from typer import Option

from keras_llm.files import read_json, write_json
from keras_llm.recipes import runs
from keras_llm.recipes.options import DataDir, Output, Result, Seed


def train_lstm(
    task: Annotated[
        str, Option(help="classifier (a label a text), tagger (a label a token) or language_model.")
    ] = "classifier",
    data: Annotated[
        str, Option("--data", "-d", help="A file, or a name from `keras-llm datasets`.")
    ] = "topics_en",
    validation: Annotated[
        str | None, Option(help="The same for validation; by default a part of --data.")
    ] = None,
    test: Annotated[
        str | None,
        Option(
            help="For the last figure: a file, or `test` for that part of --data. Left alone if not given."
        ),
    ] = None,
    text_column: Annotated[
        str | None, Option(help="Name or position of the text, if it is not `text`.")
    ] = None,
    label_column: Annotated[
        str | None, Option(help="Name or position of the label, if it is not `label`.")
    ] = None,
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
        int, Option(help="Stop after so many passes without a better validation accuracy.")
    ] = 5,
    batch_size: Annotated[int, Option(help="Texts a step.")] = 32,
    learning_rate: Annotated[float, Option(help="Adam's.")] = 1e-3,
    averaging: Annotated[
        float | None, Option(help="Average the weights over time with this factor, such as 0.99.")
    ] = None,
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Train an LSTM: a label a text, a label a token, or the next token."""
    arguments = dict(locals())
    started = time.perf_counter()
    import keras

    from keras_llm.datasets import load
    from keras_llm.models import lstm
    from keras_llm.training.callbacks import Curves, SaveBest
    from keras_llm.training.results import write_result

    keras.utils.set_random_seed(seed)
    columns = _columns(text_column, label_column)
    rows = {
        "train": load(data, None if validation else "train", data_dir, columns),
        "validation": load(validation or data, None if validation else "validation", data_dir, columns),
    }
    if test:
        rows["test"] = (
            load(data, "test", data_dir, columns) if test == "test" else load(test, None, data_dir, columns)
        )
    tokenizer = lstm.train_tokenizer(rows["train"], vocabulary, lowercase, chinese)
    labels = None if task == "language_model" else lstm.label_names(rows["train"])
    arrays = {
        split: lstm.preprocess_data(part, tokenizer, labels, length, task) for split, part in rows.items()
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

    folder = runs.begin(output, "train lstm", arguments)
    tokenizer.save(folder)
    write_json(folder / runs.LABELS, labels)
    print(
        f"{cell.upper()} {task} of {model.count_params():,} parameters on {len(rows['train']):,} rows "
        f"(validation: {len(rows['validation']):,}; vocabulary: {tokenizer.vocabulary_size:,}"
        f"{'' if labels is None else f'; labels: {len(labels)}'}).\nEverything goes to {folder}/"
    )
    lstm.train_model(
        model,
        *arrays["train"],
        *arrays["validation"],
        epochs,
        batch_size,
        learning_rate,
        averaging,
        patience,
        callbacks=[
            SaveBest(folder / runs.MODEL, "val_accuracy", "max"),
            Curves(folder, "loss", "val_accuracy", title=f"{cell.upper()} {task}"),
        ],
        verbose=2,
    )

    model = keras.saving.load_model(folder / runs.MODEL, compile=False)
    metrics = {"parameters": model.count_params()}
    for split in [split for split in ("validation", "test") if split in arrays]:
        figures = lstm.evaluate_model(model, *arrays[split])
        metrics |= {f"{split}_accuracy": figures["accuracy"], f"{split}_loss": figures["loss"]}
        print(f"{split}: accuracy {figures['accuracy']:.4f}, loss {figures['loss']:.4f}")
    write_json(folder / runs.METRICS, metrics)
    seconds = time.perf_counter() - started
    if result:
        names = {"train": data, "validation": validation or data, "test": test or data}
        used = {f"{names[split]} ({split})": [str(row) for row in part] for split, part in rows.items()}
        write_result(result, seed=seed, data=used, wall_seconds=seconds, metrics=metrics)
    print(f"{seconds:.0f} s in all. Model, tokenizer and curves.png are in {folder}/")
    return metrics


def evaluate_lstm(folder, model, tokenizer, arguments, data, split, data_dir=None):
    """Measures a run of `train_lstm` on other rows, with the run's own columns: a dict of loss and accuracy."""
    from keras_llm.datasets import load
    from keras_llm.models import lstm

    columns = _columns(arguments["text_column"], arguments["label_column"])
    rows = load(data, split, data_dir, columns)
    labels = read_json(folder / runs.LABELS)
    arrays = lstm.preprocess_data(rows, tokenizer, labels, arguments["length"], arguments["task"])
    return lstm.evaluate_model(model, *arrays)


def _columns(text_column, label_column):
    """What `load` wants of the two options: positions as ints."""
    given = {"text": text_column, "label": label_column}
    columns = {
        name: int(value) if value.isdigit() else value for name, value in given.items() if value is not None
    }
    return columns or None

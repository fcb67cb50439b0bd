"""What the recipes that fine-tune a BERT share."""

from typing import Annotated

from typer import Option

from keras_llm.recipes import runs
from keras_llm.recipes.rows import used_rows
from keras_llm.recipes.steps import known_precision, prepare

StartFrom = Annotated[
    str | None,
    Option(
        help="A pretrained BERT: a folder, or a name on the Hugging Face hub. Without it, a fresh one is trained."
    ),
]
Size = Annotated[str, Option(help="Size of a fresh one: tiny, mini, small, medium or bert-base-uncased.")]
Vocabulary = Annotated[int, Option(help="Tokens of a fresh one's tokenizer, trained on the training text.")]
Length = Annotated[int, Option(help="Tokens of a window; longer texts are read in overlapping windows.")]
Epochs = Annotated[int, Option(help="Passes over the training data, at most.")]
Patience = Annotated[int, Option(help="Stop after so many passes without a better validation figure.")]
BatchSize = Annotated[int, Option(help="Windows a step.")]
LearningRate = Annotated[
    float, Option(help="The highest rate; it rises over the first tenth of the steps, then falls to zero.")
]
Dropout = Annotated[float, Option(help="Dropout rate.")]


def start(model_class, start_from, size, vocabulary, length, texts, dropout, precision, **own):
    """A model for a task with its tokenizer: from a checkpoint with a new head, or fresh.

    Args:
        model_class: of `keras_llm.models.bert`.
        start_from, size, vocabulary, length, dropout, precision: the options of these names.
        texts: the training texts, for a fresh tokenizer.
        own: further arguments of the model, such as `num_classes`.
    """
    from keras_llm.models.bert import BertEncoder
    from keras_llm.tokenizers import Tokenizer

    dtype = known_precision(precision)
    if start_from:
        tokenizer = Tokenizer.from_pretrained(start_from)
        model = model_class.from_pretrained(start_from, head="new", dropout=dropout, dtype=dtype, **own)
    else:
        tokenizer = Tokenizer.train(texts, "wordpiece", vocabulary, lowercase=True)
        encoder = BertEncoder.from_preset(
            size,
            vocabulary_size=tokenizer.vocabulary_size,
            context_length=max(length, 128),
            dropout=dropout,
            dtype=dtype,
            pooler=model_class.needs_pooler and own.get("pooling") != "mean",
        )
        model = model_class(encoder, **own)
    if length > model.encoder.context_length:
        raise ValueError(
            f"--length {length} is beyond the model's context of {model.encoder.context_length}."
        )
    return model, tokenizer


def lengths(longest):
    """The lengths to which windows of up to `longest` tokens are padded: many, as no step is compiled for each."""
    return [*range(8, min(longest, 64), 8), *range(64, longest, 16), longest]


def begin(command, arguments, model, tokenizer, what, kind="BERT"):
    """Makes the folder of a run, with its settings and the tokenizer, and tells what is trained on `what`."""
    folder = runs.begin(arguments["output"], command, arguments)
    tokenizer.save(folder)
    print(f"{kind} of {model.count_params():,} parameters on {what}.\nEverything goes to {folder}/")
    return folder


def fit_soup(members, model, train, measure, monitor, folder, **settings):
    """Trains a model several times from the same start and keeps the mean of the weights: a uniform soup.

    Wortsman et al. 2022, "Model soups", section 2. The runs differ in the order of the rows and in their dropout.

    Args:
        members: how many times.
        model, train, measure, monitor, settings: see `fit`.
        folder: of the run; each member has a folder in it, and the mean goes into the folder itself.
    """
    from keras_llm.training import distribution

    start = model.get_weights()
    mean = [0.0 * weight for weight in start]
    for i in range(members):
        own = folder / f"member_{i + 1}"
        own.mkdir(exist_ok=True)
        print(f"Member {i + 1} of {members}, in {own}/")
        model.set_weights(start)
        train.first_batch = i * settings["epochs"] * train.steps_per_epoch  # rows in another order
        fit(model, train, measure, monitor, own, **settings)
        best = type(model).from_pretrained(own).get_weights()
        mean = [weight + other / members for weight, other in zip(mean, best)]
    model.set_weights(mean)
    model.save_pretrained(folder)
    distribution.gather(0)  # of several workers none goes on before the first one has written this


def fit(
    model,
    train,
    measure,
    monitor,
    folder,
    *,
    epochs,
    learning_rate,
    patience,
    save_every,
    title,
    loss=None,
    accumulate=1,
    rematerialize=False,
):
    """Trains with AdamW and keeps the best model, by what `measure` finds after each pass.

    Args:
        model: the task's model.
        train: shuffled batches.
        measure: a function without arguments that measures `model` on the validation rows: a dict of name to
            number, the higher the better under `monitor`.
        monitor: which of these chooses the model to keep.
        folder: of the run; the best model goes there in Hugging Face's layout.
        epochs, learning_rate, patience: the options above.
        save_every: steps between two states, see `resuming.fit`.
        title: over the picture of the curves.
        loss: by default the cross-entropy over all labels but -100.
        accumulate, rematerialize: see `steps.prepare`.
    """
    import keras

    from keras_llm.training import resuming
    from keras_llm.training.callbacks import Curves, Guard, Measure, Progress, SaveBest
    from keras_llm.training.losses import TokenCrossEntropy
    from keras_llm.training.optimizers import AdamW, WarmupCosine

    steps = epochs * train.steps_per_epoch
    rate = WarmupCosine(learning_rate, steps // 10, steps, floor=0.0)
    optimizer = AdamW(rate, weight_decay=0.01, beta_2=0.999, epsilon=1e-6)
    # Batches come in several lengths: XLA would compile a step for each, and is no faster here. JAX has nothing else.
    jit_compile = keras.backend.backend() == "jax"
    model.compile(optimizer, loss or TokenCrossEntropy(), jit_compile=jit_compile)
    prepare(model, train, accumulate, rematerialize)
    callbacks = [
        Guard(),
        Measure(measure),
        SaveBest(folder, f"val_{monitor}", "max", patience),
        Progress(steps, train.batch_size, "texts", monitor=(f"val_{monitor}",)),
        Curves(folder, "loss", f"val_{monitor}", title),
    ]
    resuming.fit(
        model,
        train,
        folder,
        epochs=epochs,
        steps_per_epoch=train.steps_per_epoch,
        callbacks=callbacks,
        save_every=save_every,
    )


def finish(model, measure, rows, folder, arguments, started, example):
    """Measures the best model on the validation rows and, if there are any, the test rows, and writes it all down.

    Args:
        model: the task's model; it gets the best one's weights from `folder`.
        measure: a function of rows that returns a dict of name to number, and the same as text for the terminal.
        rows: what `load_splits` gave.
        folder: of the run.
        arguments: dict of the command's options.
        started: `time.perf_counter()` at the beginning.
        example: what stands behind `keras-llm predict FOLDER` in the last line.

    Returns:
        The run's figures, a dict of name to number.
    """
    model.set_weights(type(model).from_pretrained(folder).get_weights())
    metrics = {"parameters": model.count_params()}
    for split in [split for split in ("validation", "test") if split in rows]:
        figures, text = measure(rows[split])
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(f"{split}: {text}")
    used = used_rows(rows, *(arguments[name] for name in ("data", "validation", "test")))
    seconds = runs.finish(folder, metrics, started, used, arguments)
    print(
        f"{seconds:.0f} s in all. Model, tokenizer and pictures are in {folder}/\n"
        f"Next: keras-llm predict {folder} {example}"
    )
    return metrics


def load_run(folder, model_class, command):
    """Opens the folder of a run, or a checkpoint with the task's head: model, tokenizer, arguments.

    `arguments["length"]` is always there: of a checkpoint without run.json, 256 or its whole context.

    Raises:
        ValueError: it is the run of another command.
    """
    from keras_llm.tokenizers import Tokenizer

    arguments = runs.arguments_of(folder, command)
    model = model_class.from_pretrained(folder)
    length = min(256, model.encoder.context_length)
    return model, Tokenizer.from_pretrained(folder), {"length": length, **arguments}

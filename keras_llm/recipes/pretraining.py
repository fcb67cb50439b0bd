"""What the recipes that train on raw text share."""


def fit(
    model,
    train,
    validation,
    folder,
    *,
    steps,
    evaluate_every,
    learning_rate,
    warmup,
    weight_decay,
    tokens_per_step,
    keep,
    title,
    monitor="val_perplexity",
    metrics=(),
    tensorboard=False,
):
    """Trains for a number of steps with AdamW, warmup and cosine, and keeps the model of the best validation loss.

    Args:
        model: a model whose outputs are logits of tokens.
        train, validation: batches, shuffled and not.
        folder: of the run.
        steps: of training; rounded to whole looks.
        evaluate_every: steps between two looks at the validation text.
        learning_rate, warmup, weight_decay: see `WarmupCosine` and `AdamW`.
        tokens_per_step: tokens that a step reads.
        keep: where the best model goes, see `SaveBest`.
        title: over the picture of the curves.
        monitor: the quantity that is printed and drawn beside the loss.
        metrics: Keras metrics beside the loss.
        tensorboard: also write logs for TensorBoard.
    """
    import keras

    from keras_llm.training.callbacks import Curves, Progress, SaveBest
    from keras_llm.training.losses import TokenCrossEntropy, TokenLoss
    from keras_llm.training.optimizers import AdamW, WarmupCosine

    looks = max(round(steps / evaluate_every), 1)
    steps_between = max(steps // looks, 1)
    steps = looks * steps_between
    rate = WarmupCosine(learning_rate, min(warmup, steps - 1), steps)
    model.compile(
        AdamW(rate, weight_decay), TokenCrossEntropy(), metrics=[TokenLoss(), *metrics], jit_compile=True
    )
    callbacks = [
        SaveBest(keep),
        Progress(steps, tokens_per_step, monitor=(monitor,)),
        Curves(folder, title=title, other=monitor),
        keras.callbacks.TerminateOnNaN(),
    ]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", update_freq=10))
    model.fit(
        train.stream(),
        steps_per_epoch=steps_between,
        epochs=looks,
        validation_data=validation.stream(),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )

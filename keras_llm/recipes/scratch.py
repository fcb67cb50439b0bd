"""What the recipes that train a model from nothing share."""


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
    label_smoothing=0.0,
    averaging=None,
    jit_compile=True,
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
        label_smoothing: see `TokenCrossEntropy`.
        averaging: validate and keep an exponential moving average of the weights; 0.99 averages over about 100
            steps.
        jit_compile: whether XLA compiles the step, once for each shape of batches.
    """
    import keras

    from keras_llm.training.callbacks import Curves, Progress, SaveBest
    from keras_llm.training.losses import TokenCrossEntropy, TokenLoss
    from keras_llm.training.optimizers import AdamW, WarmupCosine

    looks = max(round(steps / evaluate_every), 1)
    steps_between = max(steps // looks, 1)
    steps = looks * steps_between
    rate = WarmupCosine(learning_rate, min(warmup, steps - 1), steps)
    average = {} if averaging is None else {"use_ema": True, "ema_momentum": averaging}
    model.compile(
        AdamW(rate, weight_decay, **average),
        TokenCrossEntropy(label_smoothing),
        metrics=[TokenLoss(), *metrics],
        jit_compile=jit_compile,
    )
    callbacks = [
        *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if average else []),
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

"""What the recipes that train a model from nothing share."""

from keras_llm.recipes.steps import prepare


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
    save_every,
    monitor="val_perplexity",
    metrics=(),
    tensorboard=False,
    label_smoothing=0.0,
    averaging=None,
    jit_compile=True,
    callbacks=(),
    accumulate=1,
    rematerialize=False,
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
        jit_compile: whether XLA compiles the step, once for each shape of batches; it does not on several devices.
        callbacks: further ones of Keras.
        accumulate, rematerialize: see `steps.prepare`.
        save_every: steps between two states that the run can go on from, beside the one after each look.
    """
    import keras

    from keras_llm.training import distribution, resuming
    from keras_llm.training.callbacks import AveragedWeights, Curves, Guard, Progress, SaveBest
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
        jit_compile=jit_compile and distribution.allows_xla(),
    )
    prepare(model, train, accumulate, rematerialize)
    callbacks = [
        *([AveragedWeights()] if average else []),
        Guard(),
        SaveBest(keep),
        Progress(steps, tokens_per_step, monitor=(monitor,)),
        Curves(folder, title=title, other=monitor),
        *callbacks,
    ]
    if tensorboard and distribution.is_chief():
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", update_freq=10))
    resuming.fit(
        model,
        train,
        folder,
        epochs=looks,
        steps_per_epoch=steps_between,
        callbacks=callbacks,
        save_every=save_every,
        validation=validation,
    )

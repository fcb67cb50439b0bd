"""Tune a GPT-2 by pairs of answers, of which one is the better (DPO)."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import DataDir, Output, Result, SaveEvery, Seed, Test, Validation
from keras_llm.recipes.rows import load_splits, require_columns, used_rows

COMMAND = "train preferences"
LENGTHS = (32, 64, 128, 256, 512, 1024)


def train_preferences(
    data: Annotated[str, Option("--data", "-d", help="A file with prompt, chosen and rejected.")],
    start_from: Annotated[
        str,
        Option(help="A run of `train chat`; it is also the reference. Or a Hugging Face folder or hub name."),
    ],
    validation: Validation = None,
    test: Test = None,
    data_dir: DataDir = None,
    beta: Annotated[float, Option(help="How dear it is to leave the reference.")] = 0.1,
    epochs: finetuning.Epochs = 3,
    patience: finetuning.Patience = 2,
    batch_size: Annotated[int, Option(help="Pairs a step.")] = 8,
    learning_rate: finetuning.LearningRate = 1e-4,
    save_every: SaveEvery = 500,
    seed: Seed = 0,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Tune a GPT-2 by pairs of answers, of which one is the better (DPO)."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare("one", seed)
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.chat import ChatTemplate
    from keras_llm.datasets.preferences import pair_features
    from keras_llm.evaluation.preferences import preference_metrics
    from keras_llm.models.gpt2 import GPT2Model
    from keras_llm.training.preferences import PairScorer, PreferenceLoss

    rows = load_splits(data, validation, test, data_dir)
    for part in rows.values():
        require_columns(part, "prompt", "chosen", "rejected")
    model, tokenizer, _ = runs.open_causal(start_from)
    template = ChatTemplate(tokenizer)
    if template.tokenizer.vocabulary_size > model.vocabulary_size:
        model = model.with_vocabulary_size(template.tokenizer.vocabulary_size)
    scorer = PairScorer(model)
    context = model.context_length
    lengths = [length for length in LENGTHS if length < context] + [context]
    features = {split: pair_features(template, part, context) for split, part in rows.items()}
    # The reference is asked once, before it is changed.
    reference = {split: _scores(scorer, own, batch_size, lengths) for split, own in features.items()}

    def measure(split):
        found = _scores(scorer, features[split], batch_size, lengths)
        tokens = np.array([sum(answer) for answer in features[split]["chosen_answer"]])
        return preference_metrics(reference[split], found, tokens, beta)

    held_out = [split for split in features if split != "train"]
    compared = ("likelier_accuracy", "chosen_token_loss")  # with what they were before
    metrics = {"parameters": model.count_params(), "training_pairs": len(reference["train"])}
    for split in held_out:
        before = measure(split)
        metrics[f"{split}_pairs"] = len(reference[split])
        metrics |= {f"{split}_{name}_before": before[name] for name in compared}
    train = PaddedBatches(features["train"], reference["train"], batch_size, lengths, seed)
    folder = finetuning.begin(
        COMMAND, arguments, model, template.tokenizer, f"{train.num_rows:,} pairs", "GPT-2"
    )
    finetuning.fit(
        scorer,
        train,
        lambda: measure("validation"),
        "reward_accuracy",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        save_every=save_every,
        title="DPO",
        loss=PreferenceLoss(beta),
    )

    model.set_weights(GPT2Model.from_pretrained(folder).get_weights())
    for split in held_out:
        figures = measure(split)
        metrics |= {f"{split}_{name}": value for name, value in figures.items()}
        print(
            f"{split}: reward accuracy {figures['reward_accuracy']:.4f}, margin {figures['reward_margin']:.3f}; "
            + ", ".join(
                f"{name} {metrics[f'{split}_{name}_before']:.4f} -> {figures[name]:.4f}" for name in compared
            )
        )
    seconds = runs.finish(folder, metrics, started, used_rows(rows, data, validation, test), arguments)
    print(f"{seconds:.0f} s in all. Everything is in {folder}/\nNext: keras-llm chat {folder}")
    return metrics


def _scores(scorer, features, batch_size, lengths):
    """What the model says of each pair, in the order of the pairs: float `[n, 2]`."""
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.evaluation.predictions import predict

    batches = PaddedBatches(features, None, batch_size, lengths, shuffle=False)
    return np.array(predict(scorer, batches))

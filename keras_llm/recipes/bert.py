"""Pretrain a BERT on raw text by hiding words (Devlin et al. 2019, section 3.1)."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs, scratch
from keras_llm.recipes.gpt2 import Text, load_texts
from keras_llm.recipes.options import (
    Accumulate,
    DataDir,
    Output,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
    Validation,
)
from keras_llm.recipes.steps import known_precision


def train_bert(
    data: Text = "docstrings",
    validation: Validation = None,
    data_dir: DataDir = None,
    size: Annotated[str, Option(help="tiny, mini, small, medium or bert-base-uncased.")] = "tiny",
    start_from: Annotated[
        str | None, Option(help="Go on from a BERT: a run's folder, a Hugging Face folder or hub name.")
    ] = None,
    vocabulary: Annotated[
        int, Option(help="Tokens of the WordPiece tokenizer that is trained on the text.")
    ] = 8192,
    lowercase: Annotated[bool, Option(help="The and the are one word.")] = True,
    length: Annotated[int, Option(help="Tokens a row.")] = 128,
    whole_words: Annotated[bool, Option(help="Hide whole words, not pieces of them.")] = False,
    fresh_masks: Annotated[bool, Option(help="Hide other words in each pass.")] = True,
    limit: Annotated[
        int | None,
        Option(help="Use at most so many characters of training text, whole documents drawn at random."),
    ] = None,
    steps: Annotated[int, Option(help="Training steps.")] = 2000,
    batch_size: Annotated[int, Option(help="Rows a step.")] = 32,
    learning_rate: Annotated[
        float, Option(help="The highest rate; it rises over the warmup, then falls to a tenth.")
    ] = 1e-3,
    warmup: Annotated[int, Option(help="Steps over which the rate rises.")] = 100,
    weight_decay: Annotated[float, Option(help="AdamW's decay of the weight matrices.")] = 0.01,
    dropout: Annotated[float, Option(help="Dropout rate.")] = 0.0,
    evaluate_every: Annotated[int, Option(help="Steps between two looks at the validation text.")] = 250,
    accumulate: Accumulate = 1,
    precision: Precision = "float32",
    rematerialize: Rematerialize = False,
    save_every: SaveEvery = 500,
    strategy: Strategy = "auto",
    seed: Seed = 0,
    tensorboard: Annotated[bool, Option(help="Also write logs for TensorBoard.")] = False,
    output: Output = None,
    result: Result = None,
) -> dict:
    """Pretrain a BERT on raw text by hiding words."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.datasets.masking import MaskedBatches, continuing_pieces, pack_documents
    from keras_llm.models.bert import BertEncoder, BertMaskedLM
    from keras_llm.tokenizers import Tokenizer
    from keras_llm.training.losses import Perplexity, TokenAccuracy

    # Text
    texts = {
        "train": load_texts(data, None if validation else "train", data_dir, limit),
        "validation": load_texts(validation or data, None if validation else "validation", data_dir),
    }
    dtype = known_precision(precision)
    if start_from:
        tokenizer = Tokenizer.from_pretrained(start_from)
        model = BertMaskedLM.from_pretrained(start_from, dropout=dropout, dtype=dtype)
    else:
        tokenizer = Tokenizer.train(texts["train"], "wordpiece", vocabulary, lowercase=lowercase)
        encoder = BertEncoder.from_preset(
            size,
            vocabulary_size=tokenizer.vocabulary_size,
            context_length=length,
            dropout=dropout,
            dtype=dtype,
            pooler=False,
        )
        model = BertMaskedLM(encoder)
    batches = {}
    for split, documents in texts.items():
        pieces = [ids[1:-1] for ids in tokenizer.encode(_paragraphs(documents))]  # without [CLS] and [SEP]
        batches[split] = MaskedBatches(
            pack_documents(pieces, length, tokenizer.class_id, tokenizer.separator_id),
            length,
            batch_size,
            tokenizer.mask_id,
            tokenizer.pad_id,
            tokenizer.special_ids,
            tokenizer.vocabulary_size,
            continuing_pieces(tokenizer) if whole_words else None,
            seed,
            shuffle=split == "train",
            fresh=fresh_masks,
        )

    folder = runs.begin(output, "train bert", arguments)
    tokenizer.save(folder)
    rows = {split: own.num_rows for split, own in batches.items()}
    print(
        f"BERT of {model.count_params():,} parameters on {rows['train']:,} rows of {length} tokens "
        f"(validation: {rows['validation']:,}; vocabulary: {tokenizer.vocabulary_size:,}).\n"
        f"Everything goes to {folder}/"
    )
    scratch.fit(
        model,
        batches["train"],
        batches["validation"],
        folder,
        steps=steps,
        evaluate_every=evaluate_every,
        learning_rate=learning_rate,
        warmup=warmup,
        weight_decay=weight_decay,
        tokens_per_step=batch_size * length,
        keep=folder,
        title=f"BERT ({size}), hidden words",
        monitor="val_token_accuracy",
        metrics=[Perplexity(), TokenAccuracy()],
        tensorboard=tensorboard,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
    )

    # The figures of the model that was kept
    model.set_weights(BertMaskedLM.from_pretrained(folder).get_weights())
    figures = model.evaluate(batches["validation"].stream(), verbose=0, return_dict=True)
    metrics = {
        "validation_loss": float(figures["token_loss"]),
        "validation_perplexity": float(figures["perplexity"]),
        "validation_accuracy": float(figures["token_accuracy"]),
        "parameters": model.count_params(),
    }
    used = {f"{data} (train)": texts["train"], f"{validation or data} (validation)": texts["validation"]}
    seconds = runs.finish(folder, metrics, started, used, arguments)
    print(
        f"Hidden words of the validation text: loss {metrics['validation_loss']:.4f}, perplexity "
        f"{metrics['validation_perplexity']:.2f}, {metrics['validation_accuracy']:.1%} guessed right; "
        f"{seconds:.0f} s in all.\nModel, tokenizer and curves.png are in {folder}/\n"
        f'Next: keras-llm predict {folder} "Returns the [MASK] of the array."\n'
        f"      keras-llm train classify --start-from {folder}"
    )
    return metrics


def fill_masks(folder, texts, top=5):
    """What a pretrained BERT would write for each `[MASK]`.

    Args:
        folder: a run of `train_bert`, or a masked language model in Hugging Face's layout, or its hub name.
        texts: list of strings with `[MASK]` in them.
        top: how many tokens to give.

    Returns:
        For each text a list with an entry for each of its masks: a list of pairs (token, probability), the
        likeliest first.

    Raises:
        ValueError: a text has no `[MASK]`, or is longer than the model's context.
    """
    import keras
    import numpy as np

    from keras_llm.models.bert import BertMaskedLM
    from keras_llm.tokenizers import Tokenizer

    model, tokenizer = BertMaskedLM.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    found = []
    for text in texts:
        token_ids = np.array([tokenizer.encode(text)], "int32")  # [1, T]
        places = np.flatnonzero(token_ids[0] == tokenizer.mask_id)
        if not len(places):
            raise ValueError(f"The text {text!r} has no [MASK] to fill.")
        logits = model({"token_ids": token_ids, "masked_positions": places[None].astype("int32")})
        probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))[0]  # [masks, vocabulary_size]
        found.append(
            [
                [(tokenizer.id_to_token(int(i)), float(row[i])) for i in np.argsort(-row)[:top]]
                for row in probabilities
            ]
        )
    return found


def _paragraphs(documents):
    """Long documents in paragraphs: the tokenizer works on them side by side."""
    return [part for document in documents for part in document.split("\n\n") if part.strip()]

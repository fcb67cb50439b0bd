"""Fine-tune a BERT to pick the sentences that sum up a text.

Each token says whether its sentence is picked, and a sentence is as good as the mean of its tokens. The vector of a
`[CLS]` before each sentence (Liu and Lapata 2019, "Text Summarization with Pretrained Encoders", section 3.2) learns
too slowly from a few thousand texts: from 2,000 abstracts a MiniLM found nothing better than the first sentence.
"""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import (
    Accumulate,
    Data,
    DataDir,
    DocumentColumn,
    Output,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
    SummaryColumn,
    Test,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns
from keras_llm.recipes.summarize import summary_columns, summary_figures

COMMAND = "train extract"
LABELS = ["leave", "take"]  # of a sentence, at each of its tokens


def train_extract(
    data: Data = "summaries_en",
    validation: Validation = None,
    test: Test = None,
    document_column: DocumentColumn = None,
    summary_column: SummaryColumn = None,
    data_dir: DataDir = None,
    sentences: Annotated[int, Option(help="Sentences of a summary.")] = 1,
    start_from: finetuning.StartFrom = None,
    size: finetuning.Size = "tiny",
    vocabulary: finetuning.Vocabulary = 8192,
    length: Annotated[int, Option(help="Tokens of a text that are read; the rest is cut off.")] = 256,
    epochs: finetuning.Epochs = 4,
    patience: finetuning.Patience = 2,
    batch_size: Annotated[int, Option(help="Texts a step.")] = 16,
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
    """Fine-tune a BERT to pick the sentences that sum up a text."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import read_sentences
    from keras_llm.evaluation.summaries import best_sentences
    from keras_llm.models.bert import BertTokenClassifier

    if sentences < 1:
        raise ValueError(f"--sentences must be at least 1, not {sentences}.")
    rows = load_splits(data, validation, test, data_dir, summary_columns(arguments))
    for part in rows.values():
        require_columns(part, "document", "summary")
    model, tokenizer = finetuning.start(
        BertTokenClassifier,
        start_from,
        size,
        vocabulary,
        length,
        [row["document"] for row in rows["train"]],
        dropout,
        precision,
        num_classes=2,
        labels=LABELS,
    )
    documents = [read_sentences(tokenizer, row["document"], length) for row in rows["train"]]
    labels = []
    for row, document in zip(rows["train"], documents):
        best = best_sentences(document.sentences, row.get("references", [row["summary"]]), sentences)
        labels.append(
            [int(i in best) for i, (start, end) in enumerate(document.spans) for _ in range(start, end)]
        )
    train = PaddedBatches(
        {"token_ids": [document.token_ids for document in documents]},
        labels,
        batch_size,
        finetuning.lengths(length),
        seed,
        vocabulary_size=tokenizer.vocabulary_size,
    )

    folder = finetuning.begin(
        COMMAND,
        arguments,
        model,
        tokenizer,
        f"{len(rows['train']):,} texts (validation: {len(rows['validation']):,})",
    )

    def measure(part):
        return measure_extracts(model, tokenizer, part, length, sentences)

    finetuning.fit(
        model,
        train,
        lambda: measure(rows["validation"])[0],
        "rouge1",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
        title="BERT, sentences of a summary",
    )
    return finetuning.finish(model, measure, rows, folder, arguments, started, "--file texts.txt")


def evaluate_extract(folder, data, split, data_dir=None):
    """Measures a run of `train_extract` on other rows: what `measure_extracts` gives."""
    from keras_llm.datasets import load
    from keras_llm.models.bert import BertTokenClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertTokenClassifier, COMMAND)
    rows = load(data, split, data_dir, summary_columns(arguments))
    require_columns(rows, "document", "summary")
    return measure_extracts(model, tokenizer, rows, arguments["length"], arguments["sentences"])


def measure_extracts(model, tokenizer, rows, length, sentences):
    """How good the picked sentences are as summaries, on rows with `document` and `summary`.

    Returns:
        A dict of `rouge1`, `rouge2` and `rougeL`, and the same of the first sentences as `lead_rouge1` ...; and a
        text.
    """
    documents = [row["document"] for row in rows]
    return summary_figures(extract(model, tokenizer, documents, length, sentences), rows, sentences)


def extract_sentences(folder, texts):
    """The sentences that sum up each text, by a run of `train_extract`: a list of strings."""
    from keras_llm.models.bert import BertTokenClassifier

    model, tokenizer, arguments = finetuning.load_run(folder, BertTokenClassifier, COMMAND)
    return extract(model, tokenizer, texts, arguments["length"], arguments["sentences"])


def extract(model, tokenizer, texts, length, sentences, batch_size=32):
    """The likeliest sentences of each text, in the order of the text, joined by spaces: a list of strings."""
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import read_sentences
    from keras_llm.evaluation.predictions import predict

    documents = [read_sentences(tokenizer, text, length) for text in texts]
    features = {"token_ids": [document.token_ids for document in documents]}
    batches = PaddedBatches(features, None, batch_size, finetuning.lengths(length), shuffle=False)
    found = []
    for document, logits in zip(documents, predict(model, batches)):  # [length of its batch, 2]
        scores = logits[:, 1] - logits[:, 0]  # of each token
        means = np.array([scores[start:end].mean() for start, end in document.spans])  # of each sentence
        best = sorted((-means).argsort()[:sentences])
        found.append(" ".join(document.sentences[i] for i in best))
    return found

"""Fine-tune a BERT to find the answer to a question in a text (Devlin et al. 2019, section 4.2)."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import finetuning, runs
from keras_llm.recipes.options import (
    Accumulate,
    Data,
    DataDir,
    Output,
    Precision,
    Rematerialize,
    Result,
    SaveEvery,
    Seed,
    Strategy,
    Test,
    Validation,
)
from keras_llm.recipes.rows import load_splits, require_columns


def train_answer(
    data: Data = "questions_en",
    more_data: Annotated[
        str | None, Option(help="A second file or set of questions to train on as well.")
    ] = None,
    validation: Validation = None,
    test: Test = None,
    data_dir: DataDir = None,
    start_from: finetuning.StartFrom = None,
    size: finetuning.Size = "tiny",
    vocabulary: finetuning.Vocabulary = 8192,
    length: finetuning.Length = 256,
    epochs: finetuning.Epochs = 3,
    patience: finetuning.Patience = 2,
    batch_size: finetuning.BatchSize = 16,
    learning_rate: finetuning.LearningRate = 1e-4,
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
    """Fine-tune a BERT to find the answer to a question in a text."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)
    import numpy as np

    from keras_llm.datasets import load
    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import question_windows
    from keras_llm.models.bert import BertQuestionAnswerer

    rows = load_splits(data, validation, test, data_dir)
    if more_data:
        rows["train"] = rows["train"] + load(more_data, None, data_dir)
    for part in rows.values():
        require_columns(part, "question", "context", "answers")
    model, tokenizer = finetuning.start(
        BertQuestionAnswerer,
        start_from,
        size,
        vocabulary,
        length,
        [row[column] for row in rows["train"] for column in ("question", "context")],
        dropout,
        precision,
    )
    windows = question_windows(tokenizer, rows["train"], length, length // 4)
    train = PaddedBatches(
        {"token_ids": windows.token_ids, "segment_ids": windows.segment_ids},
        np.array(windows.labels),
        batch_size,
        finetuning.lengths(length),
        seed,
        vocabulary_size=tokenizer.vocabulary_size,
    )

    folder = finetuning.begin(
        "train answer",
        arguments,
        model,
        tokenizer,
        f"{len(rows['train']):,} questions (validation: {len(rows['validation']):,})",
    )

    def measure(part):
        return measure_answers(model, tokenizer, part, length)

    finetuning.fit(
        model,
        train,
        lambda: measure(rows["validation"])[0],
        "f1",
        folder,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        accumulate=accumulate,
        rematerialize=rematerialize,
        save_every=save_every,
        title="BERT, answers in text",
    )
    example = '"Who ...?" --context text.txt'
    return finetuning.finish(model, measure, rows, folder, arguments, started, example)


def evaluate_answer(folder, data, split, data_dir=None):
    """Measures a run of `train_answer`, or another such model, on other rows: what `measure_answers` gives."""
    from keras_llm.datasets import load
    from keras_llm.models.bert import BertQuestionAnswerer

    model, tokenizer, arguments = finetuning.load_run(folder, BertQuestionAnswerer, "train answer")
    rows = load(data, split, data_dir)
    require_columns(rows, "question", "context", "answers")
    return measure_answers(model, tokenizer, rows, arguments["length"])


def measure_answers(model, tokenizer, rows, length):
    """How good answers are on rows with `question`, `context` and `answers`.

    Returns:
        A dict of `f1` and `exact_match`, and a line of text.
    """
    from keras_llm.evaluation.answers import answer_metrics

    answers = answer_questions(model, tokenizer, rows, length)
    references = [[answer["text"] for answer in row["answers"]] for row in rows]
    figures = answer_metrics([answer["text"] for answer in answers], references)
    return figures, f"F1 {figures['f1']:.4f}, exact match {figures['exact_match']:.4f}"


def find_answers(folder, questions, context):
    """Where in a text each question is answered, by a run of `train_answer`, or another such model.

    Args:
        folder: of the run, or a question answering model in Hugging Face's layout.
        questions: list of strings.
        context: the text, of any length.

    Returns:
        For each question a dict: `text`, `start` and `end` (in characters of `context`) and `score`.
    """
    from keras_llm.models.bert import BertQuestionAnswerer

    model, tokenizer, arguments = finetuning.load_run(folder, BertQuestionAnswerer, "train answer")
    rows = [{"question": question, "context": context} for question in questions]
    return answer_questions(model, tokenizer, rows, arguments["length"])


def answer_questions(model, tokenizer, rows, length, batch_size=32):
    """The best answer to each row's `question` in its `context`: what `join_answers` gives."""
    import numpy as np

    from keras_llm.datasets.batches import PaddedBatches
    from keras_llm.datasets.windows import join_answers, question_windows
    from keras_llm.evaluation.predictions import predict

    windows = question_windows(tokenizer, rows, length, length // 4)
    features = {"token_ids": windows.token_ids, "segment_ids": windows.segment_ids}
    batches = PaddedBatches(features, None, batch_size, finetuning.lengths(length), shuffle=False)
    scores = np.zeros((batches.num_rows, 2, length), "float32")
    for row, own in enumerate(predict(model, batches)):
        scores[row, :, : own.shape[1]] = own  # [2, length of its batch]
    return join_answers(scores[:, 0], scores[:, 1], windows, [row["context"] for row in rows])

"""Train a Transformer to write summaries."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs, sequences
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
from keras_llm.recipes.rows import load_splits, require_columns, typed_columns, used_rows

COMMAND = "train summarize"


def train_summarize(
    data: Data = "summaries_en",
    validation: Validation = None,
    test: Test = None,
    document_column: DocumentColumn = None,
    summary_column: SummaryColumn = None,
    data_dir: DataDir = None,
    size: sequences.Size = "nano",
    vocabulary: sequences.Vocabulary = 8192,
    lowercase: sequences.Lowercase = False,
    length: sequences.Length = 256,
    summary_length: Annotated[
        int, Option(help="Tokens of the longest summary; longer ones are left out.")
    ] = 64,
    steps: sequences.Steps = 1000,
    tokens_per_batch: sequences.TokensPerBatch = 4096,
    learning_rate: sequences.LearningRate = 1e-3,
    warmup: sequences.Warmup = 100,
    weight_decay: Annotated[float, Option(help="AdamW's decay of the weight matrices.")] = 0.01,
    dropout: sequences.Dropout = None,
    norm_first: sequences.NormFirst = True,
    label_smoothing: sequences.LabelSmoothing = 0.1,
    averaging: sequences.Averaging = 0.99,
    evaluate_every: sequences.EvaluateEvery = 100,
    beams: sequences.Beams = 4,
    length_penalty: sequences.LengthPenalty = 0.6,
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
    """Train a Transformer to write summaries in words of its own."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)
    rows = load_splits(data, validation, test, data_dir, summary_columns(arguments))
    for part in rows.values():
        require_columns(part, "document", "summary")

    def measure(search, split):
        return measure_summaries(search, rows[split], arguments)

    texts = {
        split: ([row["document"] for row in part], [row["summary"] for row in part])
        for split, part in rows.items()
    }
    used = used_rows(rows, data, validation, test)
    return sequences.train(COMMAND, arguments, texts, used, measure, started)


def evaluate_summarize(folder, data, split, data_dir=None):
    """Measures a run of `train_summarize` on other rows: what `summary_figures` gives."""
    from keras_llm.datasets import load

    search, arguments = sequences.open_search(folder, COMMAND)
    rows = load(data, split, data_dir, summary_columns(arguments))
    require_columns(rows, "document", "summary")
    return measure_summaries(search, rows, arguments)


def summary_columns(arguments):
    """What `load` wants of the options `document_column` and `summary_column`."""
    names = ("document", "summary")
    return typed_columns(**{name: arguments.get(f"{name}_column") for name in names})


def summarize_texts(folder, texts):
    """A summary of each text by a run of `train_summarize`: a list of strings."""
    search, arguments = sequences.open_search(folder, COMMAND)
    return _summaries(search, texts, arguments)


def measure_summaries(search, rows, arguments):
    """How good summaries are on rows with `document` and `summary`: what `summary_figures` gives.

    Args:
        search: a `BeamSearch`.
        rows: list of dicts.
        arguments: dict of the options `length`, `summary_length`, `beams` and `length_penalty`.
    """
    return summary_figures(_summaries(search, [row["document"] for row in rows], arguments), rows, 1)


def _summaries(search, documents, arguments):
    names = "length", "summary_length", "beams", "length_penalty"
    return sequences.write(search, documents, *(arguments[name] for name in names))


def summary_figures(summaries, rows, sentences):
    """ROUGE of summaries, beside that of each text's first sentences.

    Args:
        summaries: list of strings.
        rows: list of dicts with `document`, `summary` and perhaps `references`.
        sentences: how many first sentences to compare with.

    Returns:
        A dict of `rouge1`, `rouge2` and `rougeL`, and of the first sentences `lead_rouge1` ...; and a text.
    """
    from keras_llm.baselines.lead import lead
    from keras_llm.evaluation.summaries import summary_metrics

    references = [row.get("references", [row["summary"]]) for row in rows]
    own = summary_metrics(summaries, references)
    first = summary_metrics([lead(row["document"], sentences) for row in rows], references)
    text = ", ".join(f"{kind} {value:.2f} (lead: {first[kind]:.2f})" for kind, value in own.items())
    return own | {f"lead_{kind}": value for kind, value in first.items()}, text

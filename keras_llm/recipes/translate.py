"""Train a Transformer to translate (Vaswani et al. 2017, "Attention Is All You Need")."""

import time
from typing import Annotated

from typer import Option

from keras_llm.recipes import runs, sequences
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
from keras_llm.recipes.rows import load_splits, require_columns, typed_columns, used_rows

COMMAND = "train translate"


def train_translate(
    data: Data = "translation_en_zh",
    validation: Validation = None,
    test: Test = None,
    source_column: Annotated[
        str | None, Option(help="Name or position of the source, if it is not `source`.")
    ] = None,
    target_column: Annotated[
        str | None, Option(help="Name or position of the target, if it is not `target`.")
    ] = None,
    data_dir: DataDir = None,
    reverse: Annotated[bool, Option(help="Translate targets to sources.")] = False,
    size: sequences.Size = "nano",
    vocabulary: sequences.Vocabulary = 8192,
    separate: Annotated[
        bool, Option(help="A vocabulary for each language, in place of one for both.")
    ] = False,
    lowercase: sequences.Lowercase = False,
    length: sequences.Length = 96,
    steps: sequences.Steps = 2000,
    tokens_per_batch: sequences.TokensPerBatch = 2048,
    learning_rate: sequences.LearningRate = 3e-3,
    warmup: sequences.Warmup = 200,
    weight_decay: Annotated[float, Option(help="AdamW's decay of the weight matrices.")] = 0.01,
    dropout: sequences.Dropout = None,
    norm_first: sequences.NormFirst = True,
    label_smoothing: sequences.LabelSmoothing = 0.1,
    averaging: sequences.Averaging = 0.99,
    evaluate_every: sequences.EvaluateEvery = 200,
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
    """Train a Transformer to translate, from lines that are translations of each other."""
    arguments = dict(locals())
    started = time.perf_counter()
    runs.prepare(strategy, seed)
    columns = typed_columns(source=source_column, target=target_column)
    rows = _directed(load_splits(data, validation, test, data_dir, columns), reverse)

    def measure(search, split):
        return measure_translations(search, rows[split], length, beams, length_penalty)

    texts = {split: _columns(part) for split, part in rows.items()}
    used = used_rows(rows, data, validation, test)
    return sequences.train(COMMAND, arguments, texts, used, measure, started)


def evaluate_translate(folder, data, split, data_dir=None):
    """Measures a run of `train_translate` on other rows: what `measure_translations` gives."""
    from keras_llm.datasets import load

    search, arguments = sequences.open_search(folder, COMMAND)
    columns = typed_columns(source=arguments["source_column"], target=arguments["target_column"])
    rows = _directed({split: load(data, split, data_dir, columns)}, arguments["reverse"])[split]
    options = (arguments[name] for name in ("length", "beams", "length_penalty"))
    return measure_translations(search, rows, *options)


def translate_texts(folder, texts):
    """The translation of each text by a run of `train_translate`: a list of strings.

    Args:
        folder: of the run.
        texts: list of strings; a text is one sentence, as the training texts are, and is read up to `--length`.
    """
    search, arguments = sequences.open_search(folder, COMMAND)
    return _translated(search, texts, *(arguments[name] for name in ("length", "beams", "length_penalty")))


def explain_translation(folder, text, target=None):
    """A translation, and which words of the text each of its words looked at.

    Args:
        folder: of a run of `train_translate`.
        text: a string.
        target: its translation; by default the model's own.

    Returns:
        The translation, and an `AttentionMap`.
    """
    from keras_llm.explain.attention_maps import attention_map

    if target is None:
        (target,) = translate_texts(folder, [text])
    search, _ = sequences.open_search(folder, COMMAND)
    return target, attention_map(search.model, search.tokenizer, text, target, search.target_tokenizer)


def measure_translations(search, rows, length, beams, length_penalty):
    """How good translations are on rows with `source` and `target`.

    Returns:
        What `translation_metrics` gives, and a line of text.
    """
    from keras_llm.evaluation.translation import translation_metrics

    sources, targets = _columns(rows)
    figures = translation_metrics(_translated(search, sources, length, beams, length_penalty), targets)
    return figures, f"BLEU {figures['bleu']:.2f}, chrF {figures['chrf']:.2f} ({figures['bleu_signature']})"


def _translated(search, sources, length, beams, length_penalty):
    return sequences.write(search, sources, length, None, beams, length_penalty)


def _columns(rows):
    return [row["source"] for row in rows], [row["target"] for row in rows]


def _directed(rows, reverse):
    """The rows of each split, `{"source", "target"}` in the direction that is asked for."""
    for part in rows.values():
        require_columns(part, "source", "target")
    source, target = ("target", "source") if reverse else ("source", "target")
    return {
        split: [{"source": row[source], "target": row[target]} for row in part]
        for split, part in rows.items()
    }

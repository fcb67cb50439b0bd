"""Use a model on texts from the command line."""

import os
import pathlib
import sys
from typing import Annotated

from typer import Argument, Option

from keras_llm.files import require_file
from keras_llm.recipes import runs
from keras_llm.recipes.answer import find_answers
from keras_llm.recipes.bert import fill_masks
from keras_llm.recipes.classify import predict_labels
from keras_llm.recipes.extract import extract_sentences
from keras_llm.recipes.hmm import hmm_entities
from keras_llm.recipes.lstm import lstm_entities, lstm_labels
from keras_llm.recipes.similar import rank_texts
from keras_llm.recipes.summarize import summarize_texts
from keras_llm.recipes.tag import find_entities
from keras_llm.recipes.translate import translate_texts
from keras_llm.recipes.word2vec import near_words


def predict(
    model: Annotated[
        str, Argument(help="A run's folder, or a BERT with its head: a Hugging Face folder or hub name.")
    ],
    texts: Annotated[
        list[str] | None, Argument(metavar="[TEXT]...", help="By default the lines of standard input.")
    ] = None,
    file: Annotated[str | None, Option(help="A text file instead, one text a line.")] = None,
    pair: Annotated[str | None, Option(help="For a classifier of pairs: the second text.")] = None,
    context: Annotated[
        str | None, Option(help="For questions: the text with the answers, or a file with it.")
    ] = None,
    among: Annotated[
        str | None, Option(help="For vectors: a text file in whose lines the nearest are looked for.")
    ] = None,
    top: Annotated[int, Option(help="For vectors and masks: how many lines to show.")] = 5,
):
    """Use a model: labels, names, answers, translations, the nearest lines or words, or words for [MASK]."""
    command = runs.command_of(model)
    if command not in TASKS:
        raise ValueError(f"{model} is a model of `{command}`: let it write with `keras-llm generate`.")
    lines, own = TASKS[command]
    given = {"pair": pair, "context": context, "among": among}
    for name, value in given.items():
        if value is not None and name != own:
            raise ValueError(f"--{name} has no meaning for a model of `{command}`.")
    for line in lines(model, _texts(texts, file), given[own] if own else None, top):
        print(line)


def _labels(model, texts, pair, top):
    """What `_label_lines` gives, by a BERT."""
    if pair is not None and len(texts) != 1:
        raise ValueError(f"--pair is the second text of one text, not of {len(texts)}.")
    return _label_lines(texts, predict_labels(model, texts, None if pair is None else [pair]))


def _by_lstm(model, texts, _, top):
    """What `_label_lines` or `_entity_lines` gives, by an LSTM."""
    task = runs.arguments_of(model, "train lstm")["task"]
    if task == "language_model":
        raise ValueError(f"{model} is a language model, which has no label to predict: use `evaluate`.")
    if task == "tagger":
        return _entity_lines(lstm_entities(model, texts))
    return _label_lines(texts, lstm_labels(model, texts))


def _label_lines(texts, labels):
    """`label  probability  text` for each text."""
    for text, found in zip(texts, labels):
        yield f"{found['label']}  {found['probabilities'][found['label']]:.3f}  {text}"


def _masks(model, texts, _, top):
    """`token  probability` for the likeliest tokens of each mask; an empty line between two masks."""
    masks = [mask for found in fill_masks(model, texts, top) for mask in found]
    for number, mask in enumerate(masks):
        if number:
            yield ""
        for token, probability in mask:
            yield f"{token}  {probability:.3f}"


def _found(function):
    """What `_entity_lines` gives of what a function of a run and texts finds."""
    return lambda model, texts, _, top: _entity_lines(function(model, texts))


def _entity_lines(entities):
    """`type  start-end  text` for each name; after the names of a text that is not the last, an empty line."""
    for number, found in enumerate(entities):
        if number:
            yield ""
        for entity in found:
            yield f"{entity['type']}  {entity['start']}-{entity['end']}  {entity['text']}"


def _written(function):
    """What a function of a run and texts writes for each text."""
    return lambda model, texts, _, top: function(model, texts)


def _answers(model, questions, context, top):
    """`answer  start-end  score` for each question."""
    if context is None:
        raise ValueError("Questions need --context: the text with the answers, or a file with it.")
    if os.path.isfile(context):
        context = pathlib.Path(context).read_text(encoding="utf-8")
    for answer in find_answers(model, questions, context):
        yield f"{answer['text']}  {answer['start']}-{answer['end']}  {answer['score']:.2f}"


def _nearest(model, queries, among, top):
    """`score  line` for the nearest lines; after those of a query that is not the last, an empty line."""
    if among is None:
        raise ValueError("Near texts are looked for in the lines of a file: give it with --among.")
    for number, found in enumerate(rank_texts(model, queries, _lines(among), top)):
        if number:
            yield ""
        for line in found:
            yield f"{line['score']:.3f}  {line['text']}"


def _near_words(model, texts, _, top):
    """`cosine  word` for the words nearest to each word or sum; an empty line between two of these."""
    for number, found in enumerate(near_words(model, texts, top)):
        if number:
            yield ""
        for word, cosine in found:
            yield f"{cosine:.3f}  {word}"


# The command that trained a model: what it prints, and the one option that it takes.
TASKS = {
    "train bert": (_masks, None),
    "train classify": (_labels, "pair"),
    "train tag": (_found(find_entities), None),
    "train hmm": (_found(hmm_entities), None),
    "train answer": (_answers, "context"),
    "train similar": (_nearest, "among"),
    "train lstm": (_by_lstm, None),
    "train translate": (_written(translate_texts), None),
    "train summarize": (_written(summarize_texts), None),
    "train extract": (_written(extract_sentences), None),
    "train word2vec": (_near_words, None),
}


def _texts(texts, file):
    """The texts given as words, in a file or in standard input."""
    if texts and file:
        raise ValueError("Give texts or --file, not both.")
    if texts:
        return list(texts)
    return _lines(file) if file else _not_empty(sys.stdin.read(), "standard input")


def _lines(path):
    return _not_empty(require_file(path).read_text(encoding="utf-8"), path)


def _not_empty(text, source):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"There is no text in {source}.")
    return lines

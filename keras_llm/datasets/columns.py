"""The standard columns of each task, and how the columns of a file or a data set become them.

`load` describes them for its readers; here is where they are enforced.
"""

# Task: the columns every row has, and those it may have. The first task whose columns are there is taken.
TASKS = {
    "question answering": (("context", "question"), ("id", "answers", "answer", "answer_start")),
    "dialogue": (("messages",), ()),
    "instructions": (("instruction", "output"), ("input",)),
    "preferences": (("prompt", "chosen", "rejected"), ()),
    "multiple choice": (("context", "choices", "answer"), ()),
    "tagging": (("tokens", "tags"), ()),
    "translation": (("source", "target"), ()),
    "summaries": (("document", "summary"), ("references",)),
    "classification": (("text", "label"), ("text_pair",)),
    "text": (("text",), ("text_pair",)),
}
STANDARD = {column for required, optional in TASKS.values() for column in (*required, *optional)}
ALIASES = {"sentence": "text", "text_a": "text", "text_b": "text_pair"}
ROLES = ("system", "user", "assistant")


def choose_columns(names, columns, where):
    """Finds the standard columns among the columns of a file.

    Args:
        names: the columns there are: a list of names, or of positions where they have no names.
        columns: `{standard name: name or position in the file}` for what is called otherwise there, or None.
        where: the file, for the errors.

    Returns:
        A `dict`, standard name to an entry of `names`, with the columns of one task.

    Raises:
        ValueError: `columns` names what is not there, or the columns are not those of a task.
    """
    columns = dict(columns or {})
    unknown = sorted(set(columns) - STANDARD)
    if unknown:
        raise ValueError(
            f"columns: {', '.join(unknown)} is unknown; allowed are {', '.join(sorted(STANDARD))}."
        )
    for standard, name in columns.items():
        if isinstance(name, int) and -len(names) <= name < len(names):
            columns[standard] = names[name]
        elif name not in names:
            raise ValueError(
                f"{where}: there is no column {name!r} (for {standard}); the columns are {_shown(names)}."
            )
    found = {standard_name(name): name for name in names if name not in columns.values()} | columns
    for required, optional in TASKS.values():
        if set(required) <= set(found) and set(columns) <= {*required, *optional}:
            return {column: found[column] for column in (*required, *optional) if column in found}
    raise ValueError(
        f"{where}: the columns {_shown(names)} are not those of a task. Say which is which, "
        'for example columns={"text": "review", "label": 1}.'
    )


def _shown(names):
    text = ", ".join(map(str, names))
    return (
        text if len(text) <= 100 else text[:100] + "..."
    )  # where the header is missing, this is a row of text


def standard_name(name):
    """Returns the standard column that a column of this name is taken for, or the name itself."""
    name = str(name).strip().lower()
    return ALIASES.get(name, name)


def standard_row(values, where, number):
    """Brings the values of a row into their standard form.

    Args:
        values: `dict` from standard column to what the file has there.
        where: file and line, for the errors.
        number: of the row; the `id` of a question that has none.

    Returns:
        A new `dict`, as `load` describes it.

    Raises:
        ValueError: a value is missing or of the wrong kind.
    """
    for column, value in values.items():
        if value is None:
            raise ValueError(f"{where}: the column {column} is missing.")
    if "question" in values:
        return _question({"id": number} | values, where)
    if "instruction" in values:
        return _instruction(values, where)
    if "choices" in values:
        return _choices(values, where)
    if "messages" in values:
        return {"messages": _messages(values["messages"], where)}
    if "tokens" in values:
        return _tagged(values["tokens"], values["tags"], where)
    if "summary" in values:
        return _summary(values, where)
    return {column: _text(value, column, where) for column, value in values.items()}


def _text(value, column, where):
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)  # labels are often numbers
    raise ValueError(f"{where}: {column} must be text, got {type(value).__name__}.")


def _question(values, where):
    row = {column: _text(values[column], column, where) for column in ("id", "context", "question")}
    return row | {"answers": [_answer(*answer, row["context"], where) for answer in _answers(values, where)]}


def _answers(values, where):
    """Returns `(text, start)` of each answer, from any of the forms in use."""
    if "answer" in values:
        return [(values["answer"], values.get("answer_start"))]
    answers = values.get("answers", [])
    try:
        if isinstance(answers, dict):  # TFDS and Hugging Face: a dict of lists
            return list(zip(answers["text"], answers["answer_start"]))
        return [
            (answer["text"], answer["start" if "start" in answer else "answer_start"]) for answer in answers
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f'{where}: an answer must be {{"text": ..., "answer_start": ...}}.') from error


def _answer(text, start, context, where):
    try:
        start = int(start)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: answer_start must be a number, got {start!r}.") from error
    if start < 0 or not context.startswith(text, start):
        raise ValueError(f"{where}: the answer {text!r} does not stand at character {start} of its context.")
    return {"text": text, "start": start}


def _messages(messages, where):
    if not isinstance(messages, list):
        raise ValueError(f"{where}: messages must be a list, got {type(messages).__name__}.")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ValueError(f'{where}: a message must be {{"role": ..., "content": text}}, got {message!r}.')
        if message.get("role") not in ROLES:
            raise ValueError(f"{where}: a role is one of {', '.join(ROLES)}, got {message.get('role')!r}.")
    if not any(message["role"] == "user" for message in messages):
        raise ValueError(f"{where}: a dialogue needs a message of the user.")
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _instruction(values, where):
    """An instruction and its output as a dialogue of two messages; an input stands below the instruction."""
    texts = {column: _text(value, column, where) for column, value in values.items()}
    asked = "\n\n".join(text for text in (texts["instruction"], texts.get("input", "")) if text)
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": texts["output"]}]
    return {"messages": turns}


def _choices(values, where):
    choices, answer = values["choices"], values["answer"]
    texts = isinstance(choices, list) and all(isinstance(choice, str) and choice for choice in choices)
    if not texts or len(choices) < 2:
        raise ValueError(f"{where}: choices must be a list of at least two texts, got {choices!r}.")
    if not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise ValueError(
            f"{where}: answer must be the place of a choice, 0 to {len(choices) - 1}, got {answer!r}."
        )
    return {"context": _text(values["context"], "context", where), "choices": list(choices), "answer": answer}


def _tagged(tokens, tags, where):
    if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags):
        raise ValueError(f"{where}: tokens and tags must be two lists of one length.")
    return {"tokens": [str(token) for token in tokens], "tags": [str(tag) for tag in tags]}


def _summary(values, where):
    document, summary = values["document"], values["summary"]
    if isinstance(document, list):  # one sentence an entry
        document = " ".join(document)
    references = values.get("references", summary if isinstance(summary, list) else None)
    if isinstance(summary, list):
        if not summary:
            raise ValueError(f"{where}: the list of summaries is empty.")
        summary = summary[0]
    row = {"document": _text(document, "document", where), "summary": _text(summary, "summary", where)}
    return row if references is None else row | {"references": list(references)}

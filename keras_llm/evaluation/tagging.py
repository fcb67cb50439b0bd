"""How good a tagger of named entities is, and which entities its tags mean.

Tags are BIO: `B-PER` begins an entity of type PER, `I-PER` is inside it, `O` is outside all. An `I-` that follows no
tag of its type begins an entity, as in conlleval, the program that scored CoNLL-2003 (Tjong Kim Sang and De Meulder
2003). That is seqeval's default mode; its strict mode would drop such entities.
"""


def entity_metrics(tags, predictions):
    """Precision, recall and F1 of whole entities: a predicted one is right if its type and both its ends are.

    The numbers are those of conlleval and of seqeval's default mode. A fraction with nothing to divide by is 0.

    Args:
        tags: the right tags, a list of BIO tags for each sentence.
        predictions: the predicted tags, as many for each sentence.

    Returns:
        A dict of plain Python numbers: `precision`, `recall` and `f1` over all entities together (micro, from 0 to
        1), `entities`, the number of right ones, and `per_type`: type -> `precision`, `recall`, `f1`, `support`.

    Raises:
        ValueError: no sentences, other numbers of sentences or tags, or a tag that is not BIO.
    """
    from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

    tags, predictions = [list(row) for row in tags], [list(row) for row in predictions]
    if not tags or len(tags) != len(predictions):
        raise ValueError(
            f"tags and predictions must have the same sentences, at least 1: {len(tags)} and {len(predictions)}."
        )
    for number, (right, predicted) in enumerate(zip(tags, predictions)):
        if len(right) != len(predicted):
            raise ValueError(
                f"Sentence {number} has {len(right)} tags and {len(predicted)} predictions; they must be as many."
            )
        _check_tags(right)
        _check_tags(predicted)
    types = sorted({entity[0] for entity in get_entities(tags) + get_entities(predictions)})
    if not types:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "entities": 0, "per_type": {}}
    precision, recall, f1, support = precision_recall_fscore_support(
        tags, predictions, average="micro", zero_division=0
    )
    per_type = precision_recall_fscore_support(tags, predictions, average=None, zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "entities": int(support),
        "per_type": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
            for name, p, r, f, n in zip(types, *per_type)
        },
    }


def entities(text, tags, offsets):
    """Finds the entities that the tags of a text's words mean.

    Args:
        text: a string.
        tags: a BIO tag for each word.
        offsets: `(start, end)` of each word in `text`, in characters; `end` is the place after the last one.

    Returns:
        A list of dicts, in the order of the text: `type`, `start`, `end` (characters, as in `offsets`) and `text`.

    Raises:
        ValueError: not as many tags as words, a tag that is not BIO, or offsets beyond the text.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    tags = list(tags)
    if len(tags) != len(offsets):
        raise ValueError(f"tags has {len(tags)} tags for {len(offsets)} words in offsets.")
    _check_tags(tags)
    for start, end in offsets:
        if not 0 <= start <= end <= len(text):
            raise ValueError(
                f"offsets holds ({start}, {end}), which is not in a text of {len(text)} characters."
            )
    found = []
    for name, first, last in get_entities(tags):  # numbers of words, the last one included
        start, end = int(offsets[first][0]), int(offsets[last][1])
        found.append({"type": name, "start": start, "end": end, "text": text[start:end]})
    return found


def is_bio(tag):
    """Tells whether it is `O`, or `B-` or `I-` with a type."""
    return tag == "O" or (isinstance(tag, str) and tag[:2] in ("B-", "I-") and bool(tag[2:]))


def _check_tags(tags):
    for tag in tags:
        if not is_bio(tag):
            raise ValueError(f"{tag!r} is not a BIO tag; allowed are 'O', 'B-TYPE' and 'I-TYPE'.")

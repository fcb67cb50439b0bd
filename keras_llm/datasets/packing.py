"""Several short texts in one row, so that little of a batch is padding."""

import numpy as np


def pack(token_ids, labels, length):
    """Puts texts side by side into rows of up to `length` tokens, the longest first, each in the first row with room.

    (First fit, decreasing.) A model that is given the segments reads each text as if it stood alone.

    Args:
        token_ids: list of lists of ints, one a text.
        labels: the same, one a token.
        length: tokens a row.

    Returns:
        Three lists of lists, one a row: token ids; segment ids, from 1 in each row; and labels. They are the features
        `"token_ids"` and `"segment_ids"` and the labels of `PaddedBatches`, which fills rows up with segment 0.

    Raises:
        ValueError: a text is empty or longer than `length`.
    """
    sizes = np.array([len(ids) for ids in token_ids])
    if len(sizes) and not 1 <= sizes.min() <= sizes.max() <= length:
        wrong = int(np.argmax((sizes < 1) | (sizes > length)))
        raise ValueError(f"Text {wrong} has {sizes[wrong]} tokens; a row holds 1 to {length}.")
    rows, room = [], np.zeros(0, int)
    for text in np.argsort(-sizes, kind="stable"):
        fits = np.flatnonzero(room >= sizes[text])
        if len(fits):
            row = fits[0]
        else:
            row, room = len(rows), np.append(room, length)
            rows.append([])
        rows[row].append(text)
        room[row] -= sizes[text]
    return (
        [[token for text in row for token in token_ids[text]] for row in rows],
        [[i for i, text in enumerate(row, start=1) for _ in token_ids[text]] for row in rows],
        [[label for text in row for label in labels[text]] for row in rows],
    )

"""Which rows are for training, which for choosing, which for the last number only."""

import hashlib

SPLITS = ("train", "validation", "test")


def check_split(split):
    """Raises `ValueError` unless `split` is one of the three names, or None for all rows."""
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)} or None for all, got {split!r}.")


def split_by_hash(text, train=0.8, validation=0.1):
    """Draws the split of a text from its SHA-256.

    The same text falls on the same side in every file, order and process, so a row that occurs twice
    cannot stand in both the training and the test set.

    Args:
        text: what is drawn by; rows that belong together are given the same text.
        train: share of the training set.
        validation: share of the validation set. What is left is the test set.

    Returns:
        `"train"`, `"validation"` or `"test"`.
    """
    share = int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:8], 16) / 2**32  # even over [0, 1)
    if share < train:
        return "train"
    return "validation" if share < train + validation else "test"

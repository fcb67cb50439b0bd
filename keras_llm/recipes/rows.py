"""The rows that a recipe trains, chooses and measures on."""

from keras_llm.datasets import load


def source_of(split, data, validation=None, test=None):
    """Where a recipe takes a split from: the two arguments of `load`, a source and a part of it or None for all.

    Args:
        split: `"train"`, `"validation"`, `"test"`, or None for all of `data`.
        data, validation, test: the options of the recipe; see `load_splits`.
    """
    if split == "train" and validation:
        return data, None
    if split == "validation" and validation:
        return validation, None
    if split == "test" and test not in (None, "test"):
        return test, None
    return data, split


def load_splits(data, validation=None, test=None, data_dir=None, columns=None):
    """The rows of each part: a dict of `"train"`, `"validation"` and, if asked for, `"test"`.

    Args:
        data: a file, or the name of a data set.
        validation: the same for validation; by default that part of `data`, which then trains on the rest.
        test: a file, or `"test"` for that part of `data`; `None` leaves it alone.
        data_dir: where TensorFlow Datasets keeps its sets.
        columns: what `typed_columns` gives.
    """
    splits = ["train", "validation", *(["test"] if test else [])]
    sources = {split: source_of(split, data, validation, test) for split in splits}
    return {split: load(*sources[split], data_dir, columns) for split in splits}


def typed_columns(**columns):
    """What `load` wants of columns as the user typed them, names or positions; those that are None are left out."""
    given = {name: value for name, value in columns.items() if value is not None}
    return {name: int(value) if value.isdigit() else value for name, value in given.items()} or None


def used_rows(rows, data, validation=None, test=None):
    """The rows of `load_splits` under names that tell where they are from, for `runs.finish`."""
    return {f"{source_of(split, data, validation, test)[0]} ({split})": part for split, part in rows.items()}


def require_columns(rows, *names):
    """Raises `ValueError` unless the first row has these columns."""
    missing = [name for name in names if name not in rows[0]]
    if missing:
        raise ValueError(
            f"The data have no column {missing[0]}, only {', '.join(rows[0])}. Is it a set for this task?"
        )

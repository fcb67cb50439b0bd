"""The rows that a recipe trains, chooses and measures on."""

from keras_llm.datasets import load


def load_splits(data, validation=None, test=None, data_dir=None, columns=None):
    """The rows of each part: a dict of `"train"`, `"validation"` and, if asked for, `"test"`.

    Args:
        data: a file, or the name of a data set.
        validation: the same for validation; by default that part of `data`, which then trains on the rest.
        test: a file, or `"test"` for that part of `data`; `None` leaves it alone.
        data_dir: where TensorFlow Datasets keeps its sets.
        columns: dict of standard column to its name or position in the file, as the user typed it; those that
            are None are left out.
    """
    given = {name: value for name, value in (columns or {}).items() if value is not None}
    columns = {name: int(value) if value.isdigit() else value for name, value in given.items()} or None
    rows = {
        "train": load(data, None if validation else "train", data_dir, columns),
        "validation": load(validation or data, None if validation else "validation", data_dir, columns),
    }
    if test == "test":
        rows["test"] = load(data, "test", data_dir, columns)
    elif test is not None:
        rows["test"] = load(test, None, data_dir, columns)
    return rows


def require_columns(rows, *names):
    """Raises `ValueError` unless the first row has these columns."""
    missing = [name for name in names if name not in rows[0]]
    if missing:
        raise ValueError(
            f"The data have no column {missing[0]}, only {', '.join(rows[0])}. Is it a set for this task?"
        )

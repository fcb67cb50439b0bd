"""k-fold cross-validation: every row is once in the part that a model is measured on."""

import statistics
from collections import Counter


def cross_validate(train_and_score, rows, folds=5, seed=0, label=lambda row: row["label"]):
    """Splits the rows into folds; trains on all but one and measures on that one, for each in turn.

    The folds are shuffled and stratified: each holds the classes in the proportions of the whole.

    Args:
        train_and_score: called as `train_and_score(train_rows, validation_rows)`; trains a fresh model and returns
            a dict of floats, such as `{"accuracy": 0.9}`, with the same names each time.
        rows: a list.
        folds: their number, 2 or more.
        seed: of the shuffling.
        label: gives the class of a row, or None for folds that are not stratified.

    Returns:
        A dict: `folds`, a list with the dict of each fold, and `mean` and `std` of each of its numbers. `std` is
        the standard deviation of the folds as a sample (divided by `folds - 1`).

    Raises:
        ValueError: `folds` is below 2, there are fewer rows in all or of a class, or two folds are scored by
            different names.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    rows = list(rows)
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, not {folds}.")
    if len(rows) < folds:
        raise ValueError(f"rows has {len(rows)} rows, fewer than folds={folds}.")
    splitter = KFold if label is None else StratifiedKFold
    classes = None if label is None else _class_ids([label(row) for row in rows], folds)
    results = []
    splits = splitter(folds, shuffle=True, random_state=seed).split(rows, classes)
    for number, (train, validation) in enumerate(splits, start=1):
        scores = train_and_score([rows[i] for i in train], [rows[i] for i in validation])
        results.append({name: float(value) for name, value in scores.items()})
        if results[-1].keys() != results[0].keys():
            raise ValueError(
                f"train_and_score returned {list(results[0])} first and {list(results[-1])} now."
            )
        shown = "   ".join(f"{name} {value:.3f}" for name, value in results[-1].items())
        print(
            f"fold {number} of {folds}   {len(train):,} rows to train, {len(validation):,} to measure   {shown}",
            flush=True,
        )
    columns = {name: [scores[name] for scores in results] for name in results[0]}
    return {
        "folds": results,
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "std": {name: statistics.stdev(values) for name, values in columns.items()},
    }


def _class_ids(labels, folds):
    counts = Counter(labels)
    rarest = min(counts, key=counts.get)
    if counts[rarest] < folds:
        raise ValueError(
            f"Class {rarest!r} has {counts[rarest]} rows, fewer than folds={folds}: use fewer folds."
        )
    ids = {name: number for number, name in enumerate(counts)}
    return [ids[name] for name in labels]

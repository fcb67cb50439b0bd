"""How good a classifier is: accuracy, precision, recall, F1 and the confusion matrix; for numbers, correlations."""

import numpy as np

from keras_llm.datasets.labels import IGNORED_LABEL
from keras_llm.files import atomic_path
from keras_llm.fonts import columns, drawable


def classification_metrics(labels, predictions, names=None):
    """Counts right and wrong predictions, over all and class by class.

    All numbers are fractions from 0 to 1. A fraction that is undefined because nothing is there to divide by (the
    precision of a class that was never predicted) is 0.

    Args:
        labels: int, the right class ids, of any shape: `[n]` for texts, `[n, T]` for tokens. Where a label is
            `IGNORED_LABEL` (-100), nothing is counted.
        predictions: int, the predicted class ids, of the same shape.
        names: of the classes, in the order of their ids. By default `"0"`, `"1"`, ... up to the highest id.

    Returns:
        A dict of plain Python numbers, ready for JSON:

        - `accuracy`;
        - `macro`: `precision`, `recall`, `f1`, each the mean over the classes that occur among the labels or the
          predictions;
        - `micro`: the same three over all rows together. Where each row has one class they equal the accuracy;
        - `per_class`: name -> `precision`, `recall`, `f1` and `support`, the number of rows of that class;
        - `confusion`: `confusion[i][j]` rows of class `i` that were predicted as `j`.

    Raises:
        ValueError: the shapes differ, an id is not a class, the names repeat, or there is nothing to count.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels, predictions = _same_shape(labels, predictions)
    counted = labels != IGNORED_LABEL
    labels, predictions = labels[counted], predictions[counted]  # [number counted]
    if not labels.size:
        raise ValueError("labels has nothing to count: it is empty, or every label is -100.")
    names = _class_names(names, labels, predictions)

    def scores(average, classes=None):
        return precision_recall_fscore_support(
            labels, predictions, labels=classes, average=average, zero_division=0
        )

    def averages(average):
        return dict(zip(("precision", "recall", "f1"), map(float, scores(average)[:3])))

    classes = range(len(names))
    return {
        "accuracy": float(np.mean(labels == predictions)),
        "macro": averages("macro"),
        "micro": averages("micro"),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f1), "support": int(support)}
            for name, p, r, f1, support in zip(names, *scores(None, classes))
        },
        "confusion": confusion_matrix(labels, predictions, labels=classes).tolist(),
    }


def regression_metrics(labels, predictions):
    """Compares predicted numbers with the right ones, such as the similarity of two sentences.

    Args:
        labels: float `[n]`, the right values; `n` is at least 2.
        predictions: float `[n]`.

    Returns:
        A dict of plain floats: `pearson` and `spearman` (correlations from -1 to 1, of the values and of their
        ranks) and `mean_squared_error`. A correlation is undefined where all labels, or all predictions, are
        equal; it is given as 0 then, for such predictions tell nothing.

    Raises:
        ValueError: the shapes differ, there are fewer than two values, or one is not a finite number.
    """
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_squared_error

    labels, predictions = np.asarray(labels, "float64"), np.asarray(predictions, "float64")
    if labels.ndim != 1 or labels.shape != predictions.shape or len(labels) < 2:
        raise ValueError(
            f"labels and predictions must be two lists of one length, at least 2; their shapes are "
            f"{labels.shape} and {predictions.shape}."
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite numbers; it holds {values[~np.isfinite(values)][0]}.")
    constant = np.ptp(labels) == 0 or np.ptp(predictions) == 0
    return {
        "pearson": 0.0 if constant else float(pearsonr(labels, predictions).statistic),
        "spearman": 0.0 if constant else float(spearmanr(labels, predictions).statistic),
        "mean_squared_error": float(mean_squared_error(labels, predictions)),
    }


def class_table(metrics):
    """Writes `classification_metrics` as a table for the terminal.

    Args:
        metrics: what `classification_metrics` returned.

    Returns:
        A string: a line a class, then the macro average and the accuracy.
    """
    per_class = metrics["per_class"]
    total = sum(scores["support"] for scores in per_class.values())
    rows = [(name, *_three(scores), scores["support"]) for name, scores in per_class.items()]
    rows.append(("macro average", *_three(metrics["macro"]), total))
    rows.append(("accuracy", "", "", f"{metrics['accuracy']:.3f}", total))
    rows.insert(0, ("class", "precision", "recall", "F1", "support"))
    width = max(columns(row[0]) for row in rows)
    return "\n".join(
        name + " " * (width - columns(name)) + f"  {precision:>9}  {recall:>6}  {f1:>5}  {support:>7}"
        for name, precision, recall, f1, support in rows
    )


def draw_confusion(metrics, names, path):
    """Draws the confusion matrix as a PNG file: a row for each right class, a column for each predicted one.

    A cell holds the number of rows; its colour is their share of the row, so that a rare class can be read beside
    a frequent one. Names in Chinese need a font that has the characters; where none is installed, the number of
    the class stands for such a name.

    Args:
        metrics: what `classification_metrics` returned.
        names: of the classes, in the order of their ids.
        path: of the file, written atomically.

    Raises:
        ValueError: not as many names as classes.
    """
    from matplotlib.figure import Figure  # not pyplot: no window, no state

    counts = np.array(metrics["confusion"])  # [classes, classes]
    if len(names) != len(counts):
        raise ValueError(f"names has {len(names)} names for {len(counts)} classes.")
    names, fonts = drawable(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3 + 0.45 * len(names)  # inches
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the row", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="right", title=f"accuracy {metrics['accuracy']:.3f}")
    axes.set_yticks(range(len(names)), names, fontfamily=fonts)
    axes.set_xticks(range(len(names)), names, fontfamily=fonts)
    if len(names) > 4 or max(map(columns, names)) > 8:
        axes.tick_params("x", rotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    size = min(10, 40 / len(f"{counts.max():,}"))  # points, so that the longest number fits its cell
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black" if count else "lightgray"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=size)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _same_shape(labels, predictions):
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"labels and predictions must have one shape; they have {labels.shape} and {predictions.shape}."
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} must be int class ids, not {values.dtype}.")
    return labels, predictions


def _class_names(names, labels, predictions):
    highest = max(labels.max(), predictions.max())
    if names is None:
        names = [str(class_id) for class_id in range(highest + 1)]
    if len(set(names)) < len(names):
        raise ValueError(f"names must differ from each other, unlike {list(names)}.")
    for name, values in (("labels", labels), ("predictions", predictions)):
        wrong = values[(values < 0) | (values >= len(names))]
        if wrong.size:
            raise ValueError(
                f"{name} holds the id {wrong[0]}; the {len(names)} classes are 0 to {len(names) - 1}."
            )
    return names


def _three(scores):
    return [f"{scores[name]:.3f}" for name in ("precision", "recall", "f1")]

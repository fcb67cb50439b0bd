"""How well the right one of many texts is found."""

import numpy as np

BLOCK = 1024  # queries whose scores are held at a time


def ranking_metrics(queries, candidates, right):
    """Ranks all candidates for each query by the product of their vectors.

    A candidate that scores the same as the right one counts as before it.

    Args:
        queries: `[n, dim]`, an array or a SciPy sparse matrix.
        candidates: `[m, dim]`, of the same kind.
        right: int `[n]`, the number of each query's right candidate.

    Returns:
        A dict of plain floats from 0 to 1: `accuracy_at_1`, the share of queries whose right candidate is the
        first, and `mean_reciprocal_rank`, the mean of 1 / (the place of the right candidate).

    Raises:
        ValueError: no queries, another number of queries than of right candidates, or one of these is none.
    """
    from scipy.sparse import issparse

    right = np.asarray(right)
    if queries.shape[0] != len(right) or not len(right):
        raise ValueError(
            f"queries and right must be as many, at least 1: {queries.shape[0]} and {len(right)}."
        )
    if right.min() < 0 or right.max() >= candidates.shape[0]:
        raise ValueError(f"right must hold numbers from 0 to {candidates.shape[0] - 1}.")
    ranks = []
    for start in range(0, len(right), BLOCK):
        scores = queries[start : start + BLOCK] @ candidates.T  # [BLOCK, m]
        scores = scores.toarray() if issparse(scores) else scores
        own = np.take_along_axis(scores, right[start : start + BLOCK, None], axis=1)
        ranks.append((scores >= own).sum(axis=1))
    ranks = np.concatenate(ranks)
    return {"accuracy_at_1": float(np.mean(ranks == 1)), "mean_reciprocal_rank": float(np.mean(1 / ranks))}

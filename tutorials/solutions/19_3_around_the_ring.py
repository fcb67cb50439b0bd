"""Chapter 19, exercise 3: a sum that goes around a ring, so that no worker is the bottleneck."""

import numpy as np

WORKERS, SIZE = 4, 12
vectors = np.random.default_rng(0).normal(size=(WORKERS, SIZE))
pieces = vectors.reshape(WORKERS, WORKERS, -1).copy()  # [worker, piece, numbers of a piece]
sent = np.zeros(WORKERS, int)


def pass_on(first_piece, add):
    """Each worker sends one piece to its neighbour, all at once: worker i the piece first_piece + i."""
    moving = [(i, (first_piece + i) % WORKERS) for i in range(WORKERS)]
    values = [pieces[i, piece].copy() for i, piece in moving]
    for (i, piece), value in zip(moving, values):
        neighbour = (i + 1) % WORKERS
        pieces[neighbour, piece] = pieces[neighbour, piece] + value if add else value
        sent[i] += len(value)


for turn in range(
    WORKERS - 1
):  # once around: each piece grows by one worker a turn, until one has its whole sum
    pass_on(-turn, add=True)
for turn in range(WORKERS - 1):  # once more: that worker's piece goes to all others
    pass_on(1 - turn, add=False)

for worker in range(WORKERS):
    np.testing.assert_allclose(pieces[worker].ravel(), vectors.sum(axis=0))
print(f"each worker sent {sent[0]} numbers, for vectors of {SIZE}")
assert (sent == 2 * (WORKERS - 1) * SIZE // WORKERS).all()  # below 2 vectors, however many workers there are

to_one = (WORKERS - 1) * SIZE
print(f"through one worker: it gets {to_one} numbers and sends {to_one}, and this grows with each worker")

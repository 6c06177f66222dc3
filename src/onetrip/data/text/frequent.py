"""Values that make up much of a column, in memory that does not grow with it."""

from collections.abc import Callable, Iterable

import numpy as np

_KEPT = 1_000


def frequent(read: Callable[[], Iterable[np.ndarray]], share: float) -> dict[int, int]:
    """Count the integers that are at least `share` of all, exactly.

    Reads twice. The first time it keeps 1,000 counters: when there are more, all are lowered by
    the size of the next (Misra and Gries, 1982), so that whatever is more than a thousandth
    of the whole has one in the end. The second time it counts these.

    Parameters
    ----------
    read : begins anew and yields the column in pieces [N].
    share : at least 0.002.

    Returns
    -------
    dict of value and count, the most frequent first.

    Examples
    --------
    >>> frequent(lambda: [np.array([7, 7, 1]), np.array([7, 2, 3])], 0.5)
    {7: 3}
    """
    values, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    rows = 0
    for piece in read():
        rows += piece.size
        new, of_new = np.unique(piece, return_counts=True)
        values, place = np.unique(np.concatenate([values, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, of_new]), values.size).astype(np.int64)
        if values.size > _KEPT:
            counts -= np.partition(counts, values.size - _KEPT - 1)[values.size - _KEPT - 1]
            values, counts = values[counts > 0], counts[counts > 0]
    exact = np.zeros(values.size, np.int64)
    for piece in read():
        known = piece[np.isin(piece, values)]
        exact += np.bincount(np.searchsorted(values, known), minlength=values.size)
    order = np.argsort(-exact, kind="stable")
    return {
        int(values[at]): int(exact[at]) for at in order if exact[at] and exact[at] >= share * rows
    }

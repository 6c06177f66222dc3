"""Texts of one length that differ in a few places only, found exactly and without all pairs.

Two texts that differ in at most k places agree in at least one of any k + 1 disjoint parts. Parts
take every (k + 1)th place: the conserved ends of a CDR3 fall to all of them, so that none is a
part which everybody shares. Texts that share a part are compared; nobody else is.
"""

from collections.abc import Iterator

import numpy as np

from onetrip.data.text.components import components

# Pairs compared at once: 16 MiB of residues at length 16.
_PAIRS = 1 << 20


def near_components(texts: np.ndarray, group: np.ndarray, most_apart: int) -> np.ndarray:
    """Single linkage: texts of one group are joined where they differ in few places.

    Parameters
    ----------
    texts : ndarray [N, L], uint8. Distinct within a group.
    group : ndarray [N], int64; only texts of one group are compared.
    most_apart : places in which two texts may differ.

    Returns
    -------
    ndarray [N], int64: the smallest index of each text's component.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.data.text.near_strings import near_components
    >>> texts = np.frombuffer(b"ARDYARDWTTTT", np.uint8).reshape(3, 4)
    >>> near_components(texts, np.zeros(3, np.int64), 1).tolist()
    [0, 0, 2]
    """
    label = np.arange(len(texts), dtype=np.int64)
    for part in range(most_apart + 1 if most_apart else 0):
        key = np.ascontiguousarray(texts[:, part :: most_apart + 1])
        for left, right in _sharing(key, group):
            # What is together already need not be compared.
            apart = label[left] != label[right]
            left, right = left[apart], right[apart]
            near = (texts[left] != texts[right]).sum(axis=1, dtype=np.uint8) <= most_apart
            if near.any():
                label = components(len(texts), label[left[near]], label[right[near]])[label]
    return label


def _sharing(key: np.ndarray, group: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows that share key and group, in pieces of at most `_PAIRS` or one row's."""
    _, code = np.unique(key.view(f"V{key.shape[1]}").ravel(), return_inverse=True)
    code = code * (int(group.max(initial=0)) + 1) + group
    order = np.argsort(code, kind="stable")
    code = code[order]
    ends = np.searchsorted(code, code, side="right")
    # Each row is paired with those behind it in its run.
    behind = ends - np.arange(len(code)) - 1
    total = np.cumsum(behind)
    start = 0
    while start < len(code):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _PAIRS, side="right")))
        counts = behind[start:stop]
        if counts.any():
            first = np.repeat(np.arange(start, stop), counts)
            offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            yield order[first], order[first + 1 + offset]
        start = stop

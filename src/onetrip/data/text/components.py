"""Connected components of a graph given as edges: the union-find of clusters, in NumPy."""

import numpy as np


def components(nodes: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Name each node's component by its smallest node.

    Every round hooks the larger root of an edge onto the smaller one and then shortens all paths
    to their roots; an edge leaves when both ends share a root. Rounds grow with the logarithm of
    the longest path.

    Parameters
    ----------
    nodes : how many there are.
    left, right : ndarray [E], integers below `nodes`: the ends of each edge.

    Returns
    -------
    ndarray [nodes], int64.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.data.text.components import components
    >>> components(5, np.array([3, 1]), np.array([4, 3])).tolist()
    [0, 1, 2, 1, 1]
    """
    parent = np.arange(nodes, dtype=np.int64)
    left, right = np.asarray(left, np.int64), np.asarray(right, np.int64)
    while True:
        left, right = parent[left], parent[right]
        apart = left != right
        if not apart.any():
            return parent
        left, right = left[apart], right[apart]
        np.minimum.at(parent, np.maximum(left, right), np.minimum(left, right))
        while not np.array_equal(shorter := parent[parent], parent):
            parent = shorter

"""Order edges of a spanning tree as Prim's algorithm meets them, from the first point.

In mutual reachability equal weights are the rule: a point whose core distance is large is as far
from every component within it, and joins them all at once. Which two are merged first decides
which cluster the point falls out of. Both scikit-learn and the hdbscan library let Prim's
algorithm decide, then an unstable sort: the same order here, and the same sort, give their labels.
"""

import heapq

import numpy as np


def in_prim_order(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    tied: np.ndarray,
    tied_weight: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges [N - 1] by weight, equal ones as Prim's algorithm and NumPy's default sort leave them.

    Parameters
    ----------
    source, target : the points of every edge of a minimum spanning tree.
    weight : of every edge, float64.
    tied : [2, T], points of further edges, each of which may take the place of one as heavy.
    tied_weight : [T], of these.

    Returns
    -------
    source, target, weight
        `source` is the end that the algorithm reached first.

    Examples
    --------
    >>> edges = np.array([1, 0]), np.array([2, 2]), np.array([1.0, 3.0])
    >>> source, target, _ = in_prim_order(*edges, np.empty((2, 0), int), np.empty(0))
    >>> source.tolist(), target.tolist()
    ([2, 0], [1, 2])
    """
    edges = source.shape[0]
    first = np.concatenate([source, tied[0]])
    second = np.concatenate([target, tied[1]])
    every = np.concatenate([weight, tied_weight])
    ends = np.concatenate([first, second])
    by_point = ends.argsort(kind="stable")
    starts = np.searchsorted(ends[by_point], np.arange(edges + 2)).tolist()
    others = np.concatenate([second, first])[by_point].tolist()
    weights = np.concatenate([every, every])[by_point].tolist()
    reached = [False] * (edges + 1)
    nearest = [np.inf] * (edges + 1)
    frontier: list[tuple[float, int, int]] = []
    from_point, to_point, met = [0] * edges, [0] * edges, [0.0] * edges
    point = 0
    for step in range(edges):
        reached[point] = True
        for at in range(starts[point], starts[point + 1]):
            other = others[at]
            if not reached[other] and weights[at] < nearest[other]:
                nearest[other] = weights[at]
                heapq.heappush(frontier, (weights[at], other, point))
        while True:
            met[step], to_point[step], from_point[step] = heapq.heappop(frontier)
            point = to_point[step]
            if not reached[point]:
                break
    distance = np.array(met)
    rank = np.argsort(distance)
    start, end = (np.array(points, dtype=np.int64) for points in (from_point, to_point))
    return start[rank], end[rank], distance[rank]

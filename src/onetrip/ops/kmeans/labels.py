"""Labels of samples on a CPU and nothing else: neither sums nor inertia."""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.few_nearest import ONE_TILE_SCORES, FewNearest, labels_of_tile
from onetrip.ops.kmeans.movement import Movement
from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.solve import problem_of, resolve
from onetrip.ops.kmeans.tile_search import MOST_CENTERS, quiet
from onetrip.ops.kmeans.torch_impl import TorchAssigner
from onetrip.ops.kmeans.workers import ALONE, WORTH_THREADS, rows_workers


def labels_of(points: Placed, centers: Tensor, precision: str) -> np.ndarray:
    """Numbers [N] of the nearest of `centers` [K, D], of the dtype of the samples.

    Few samples are the work of the thread that asks.

    >>> from onetrip.ops.kmeans.points import place
    >>> x = torch.tensor([[0.0], [1.0], [4.0]])
    >>> labels_of(place(x, None, torch.zeros(1)), x[[2, 0]], "certified").tolist()
    [1, 1, 0]
    """
    clusters = centers.shape[0]
    few = clusters <= MOST_CENTERS and precision == "certified"
    if few and points.norm.shape[0] * clusters <= ONE_TILE_SCORES:
        return labels_of_tile(points, centers.numpy())
    if few and points.x.numel() < WORTH_THREADS:
        with quiet():
            return FewNearest(points, clusters).label(centers.numpy(), ALONE)
    with torch.no_grad(), rows_workers(points.x) as workers:
        if few:
            with quiet():
                return FewNearest(points, clusters).label(centers.numpy(), workers)
        _, config = resolve("torch", problem_of(points.x, clusters, {"max_iter": 0}))
        assigner = TorchAssigner(points, clusters, config, precision == "certified")
        assigner.finish(centers, Movement(clusters, centers.device), workers)
    return assigner.labels.numpy()

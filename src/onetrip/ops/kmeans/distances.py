"""Distances of all samples to all centres, for those who ask for the matrix itself."""

import torch
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import rows_workers, slices

_ROWS = 4096


def distances_to(points: Points, centers: Tensor, *, spherical: bool = False) -> Tensor:
    """Euclidean distances [N, K]; of rows and centres of unit length where `spherical`.

    Differences, where a product would lose the digits of near points, cost a pass for each
    feature; so float64 products of centred rows, which lose none that float32 holds.
    """
    if spherical:
        centers = F.normalize(centers, dim=1)
    found = torch.empty(
        points.x.shape[0], centers.shape[0], dtype=points.x.dtype, device=points.x.device
    )
    offset = points.offset.double()
    wide = centers.double() - offset
    square = wide.square().sum(1)

    def measure(block: slice) -> None:
        x = points.x[block].double() - offset
        squares = torch.addmm(square, x, wide.T, alpha=-2.0).add_(x.square().sum(1)[:, None])
        found[block] = squares.clamp_(min=0.0).sqrt_()

    with rows_workers(points.x) as workers:
        workers.map(measure, slices(slice(0, points.x.shape[0]), _ROWS))
    return found

"""Distances of all samples to all centres, for those who ask for the matrix itself."""

import torch
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.wide_products import has_wide_products
from onetrip.ops.kmeans.workers import rows_workers, slices
from onetrip.tile.certified import exact_distances

_ROWS = 4096
# Squares that are a smaller share of the squared norms keep fewer digits than float32 has: a
# product of float64 with hundreds of features is off by 2^-44 of these.
_TINY = 2.0**-20


def distances_to(points: Points, centers: Tensor, *, spherical: bool = False) -> Tensor:
    """Euclidean distances [N, K]; of rows and centres of unit length where `spherical`.

    Float64 products of centred rows take one pass where differences take one a feature. Where a
    square is tiny beside the norms, they have lost its digits: differences find those again.
    """
    if spherical:
        centers = F.normalize(centers, dim=1)
    if has_wide_products(points.x):
        from onetrip.ops.kmeans.device_distances import distances_on_device

        return distances_on_device(points.x, centers.contiguous(), points.offset, _TINY)
    found = torch.empty(
        points.x.shape[0], centers.shape[0], dtype=points.x.dtype, device=points.x.device
    )
    offset = points.offset.double()
    exact = centers.double()
    wide = exact - offset
    square = wide.square().sum(1)

    def measure(block: slice) -> None:
        x = points.x[block].double() - offset
        length = x.square().sum(1)[:, None]
        squares = torch.addmm(square, x, wide.T, alpha=-2.0).add_(length)
        row, column = (squares <= _TINY * length + _TINY * square).nonzero(as_tuple=True)
        squares[row, column] = exact_distances(points.x[block], exact, row, column)
        found[block] = squares.sqrt_()

    with rows_workers(points.x) as workers:
        workers.map(measure, slices(slice(0, points.x.shape[0]), _ROWS))
    return found

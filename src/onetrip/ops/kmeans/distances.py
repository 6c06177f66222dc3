"""Distances of all samples to all centres, for those who ask for the matrix itself."""

import torch
import torch.nn.functional as F
from torch import Tensor

from onetrip.ops.kmeans.wide_products import has_wide_products
from onetrip.ops.kmeans.workers import rows_workers, slices
from onetrip.tile.certified import exact_distances

_ROWS = 4096
# Squares that are a smaller share of the squared norms keep fewer digits than float32 has: a
# product of float64 with hundreds of features is off by 2^-44 of these.
_TINY = 2.0**-20


def distances_to(x: Tensor, centers: Tensor, *, spherical: bool = False) -> Tensor:
    """Euclidean distances [N, K]; of rows and centres of unit length where `spherical`.

    Float64 products of rows about the mean of the centres take one pass where differences take one
    a feature. Where a square is tiny beside the norms, they have lost its digits: differences find
    those again.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float64 | float16 | bfloat16
    centers : Tensor [K, D], float32 | float64, no wider than `x`

    Returns
    -------
    Tensor [N, K], float32, float64 for float64 samples
    """
    x = (x if x.dtype == torch.float64 else x.float()).contiguous()
    if spherical:
        x, centers = F.normalize(x, dim=1), F.normalize(centers, dim=1)
    centers = centers.to(x.dtype).contiguous()
    if has_wide_products(x):
        from onetrip.ops.kmeans.device_distances import distances_on_device

        return distances_on_device(x, centers, _TINY)
    found = torch.empty(x.shape[0], centers.shape[0], dtype=x.dtype, device=x.device)
    exact = centers.double()
    offset = exact.mean(0)
    wide = exact - offset
    square = wide.square().sum(1)

    def measure(block: slice) -> None:
        rows = x[block].double() - offset
        length = rows.square().sum(1)[:, None]
        squares = torch.addmm(square, rows, wide.T, alpha=-2.0).add_(length)
        row, column = (squares <= _TINY * length + _TINY * square).nonzero(as_tuple=True)
        squares[row, column] = exact_distances(x[block], exact, row, column)
        found[block] = squares.sqrt_()

    with rows_workers(x) as workers:
        workers.map(measure, slices(slice(0, x.shape[0]), _ROWS))
    return found

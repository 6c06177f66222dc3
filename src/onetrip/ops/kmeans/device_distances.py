# pyright: reportArgumentType=false, reportCallIssue=false
"""Distances of all rows to all centres on a device: one launch, and no question to the device."""

import torch
from torch import Tensor

from onetrip.ops.kmeans.kernel_distances_triton import _kmeans_distances_kernel
from onetrip.tile.launches import blocks, launches_for

# Rows and centres of a tile, features of a step of the product, and of the differences.
_BLOCK_N, _BLOCK_K, _BLOCK_D, _BLOCK_M = 64, 128, 16, 32
_WARPS = 8


def distances_on_device(x: Tensor, centers: Tensor, tiny: float) -> Tensor:
    """Euclidean distances [N, K] of the dtype of `x`.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float64, contiguous
    centers : Tensor [K, D], same dtype, contiguous
    tiny : float
        A square that is at most this share of the squared norms is taken by differences.
    """
    (N, D), K = x.shape, centers.shape[0]
    # Near rows as well, so that products keep digits.
    offset = centers.double().mean(0)
    wide = centers.double() - offset
    found = torch.empty(N, K, dtype=x.dtype, device=x.device)
    with torch.cuda.device_of(x):
        launches_for("distances", N, K, D, x, centers)(
            _kmeans_distances_kernel, blocks(N, _BLOCK_N) * blocks(K, _BLOCK_K),
            x, centers, offset, wide, wide.square().sum(1), found, tiny, N, K, D,
            BLOCK_N=_BLOCK_N, BLOCK_K=_BLOCK_K, BLOCK_D=_BLOCK_D, BLOCK_M=_BLOCK_M,
            num_warps=_WARPS, num_stages=3,
        )  # fmt: skip
    return found

"""Coordinates of samples along components, without a centred copy of them."""

from functools import partial

import torch
from torch import Tensor

from onetrip.ops.truncated_svd.blas import multiply, on_one_thread_each
from onetrip.ops.truncated_svd.plan import tile_rows
from onetrip.ops.truncated_svd.select import unsupported_reason
from onetrip.ops.truncated_svd.torch_impl import row_shares, tiles
from onetrip.tile.problem import problem_on
from onetrip.tile.side_by_side import on_one_thread, run_side_by_side

_TILE_ELEMENTS, _DEVICE_TILE_ELEMENTS = 1 << 18, 1 << 23
# Multiplications that threads take longer to share than one to do.
_WORTH_THREADS = 1 << 25


def project(x: Tensor, mean: Tensor | None, components: Tensor, *, near: bool = False) -> Tensor:
    """``(x - mean) @ componentsᵀ`` [N, K], a tile of rows at a time.

    Parameters
    ----------
    x : Tensor [N, D], any float dtype
    mean : Tensor [D], or None for zero
        Subtracted before the product, so that a mean far from zero costs no digits.
    components : Tensor [K, D], float32 | float64
    near : bool
        The mean is so near zero that it may be taken out of the products instead: one trip, and
        no tile is copied.

    Returns
    -------
    Tensor [N, K], the wider of the dtypes of `x` and `components`
    """
    if _has_kernel(x, components):
        return project_and_look(x, mean, components)[0]
    dtype = torch.promote_types(x.dtype, components.dtype)
    basis = components.to(dtype).T
    found = torch.empty(x.shape[0], basis.shape[1], dtype=dtype, device=x.device)
    rows = tile_rows(_TILE_ELEMENTS if x.is_cpu else _DEVICE_TILE_ELEMENTS, x.shape[1])
    small = x.is_cpu and x.numel() * basis.shape[1] < _WORTH_THREADS
    shares = [x] if small else row_shares(x, rows)
    # Views, split alike, into which every thread writes its own rows.
    targets = found.tensor_split(len(shares))
    # So near zero, or not there, a mean is taken out of the products: no tile is copied for it.
    shift = None if near else mean
    offset = mean.to(dtype) @ basis if near and mean is not None else None

    def share(x: Tensor, found: Tensor) -> None:
        for part, tile in zip(found.split(rows), tiles(x, rows, shift, dtype), strict=True):
            multiply(tile, basis, part)
            if offset is not None:
                part -= offset

    with on_one_thread(where=small), on_one_thread_each(where=x.is_cpu and dtype == torch.float64):
        run_side_by_side([partial(share, *one) for one in zip(shares, targets, strict=True)])
    return found


def project_and_look(
    x: Tensor, mean: Tensor | None, components: Tensor, *, near: bool = False
) -> tuple[Tensor, Tensor | None]:
    """What `project` returns, and the largest magnitude in x [1], NaN where there is one.

    None in its place where no kernel looks at the samples while it reads them.
    """
    if not _has_kernel(x, components):
        return project(x, mean, components, near=near), None
    # Triton is imported when it is wanted.
    from onetrip.ops.truncated_svd.kernel_project_triton import project_in_one_trip

    return project_in_one_trip(x, None if mean is None else mean.float(), components)


def _has_kernel(x: Tensor, components: Tensor) -> bool:
    """Whether a kernel of this device multiplies them, to float32."""
    return components.dtype == torch.float32 and has_kernels(x)


def has_kernels(x: Tensor) -> bool:
    """Whether kernels read these samples where they are."""
    if not x.is_cuda or not x.is_floating_point():
        return False
    return unsupported_reason("triton", problem_on(x.device, {}, x.dtype)) is None

"""The trips over x in plain torch: a tile of it in float64 at a time, which stays in cache."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd import plan
from onetrip.ops.truncated_svd.blas import add_square, mirror, on_one_thread_each
from onetrip.ops.truncated_svd.moments import Moments
from onetrip.ops.truncated_svd.plan import tile_rows
from onetrip.tile.side_by_side import on_one_thread, run_side_by_side, worker_count

# Up to so many columns what is done to a whole Gram matrix takes less than to wake a thread.
_SMALL = 256
# Elements of a thin matrix that threads go over in less time than it takes to wake them.
_WORTH_THREADS = 1 << 19
# Elements of tiles for thin products on a GPU, as they are or copied: products of a few hundred
# rows leave most of it idle, which costs more than that a tile is not in cache. The second in
# float64, and the products of the first, take what four tiles of the Gram matrix take.
_DEVICE_TILE = {False: 1 << 25, True: 1 << 24}
# Squared length of the mean, over the variance, up to which the mean is taken out of the sums and
# not of every sample: that costs at most seven bits of 53, and is a tenth of the time less.
_NEAR = 128.0


def gram_moments(x: Tensor, center: bool, config: Config) -> Moments:
    """Gram matrix of the smaller side of x [N, D], its mean and its variance, in one trip."""
    N, D = x.shape
    if N < D:
        return _wide_moments(x, center, config)
    rows = tile_rows(config["tile_elements"], D)
    with on_one_thread(where=D <= _SMALL):
        shift = _provisional_mean(x[:rows]) if center else None
    gram, sums = _summed(x, rows, shift)
    with on_one_thread(where=D <= _SMALL):
        square_of_sums = sums.square().sum() / N
        total = gram.trace() - square_of_sums
        if center:
            gram.addr_(sums, sums, alpha=-1.0 / N)
        mean = sums / N if shift is None else shift + sums / N
    cancelled = square_of_sums if center else None
    return Moments(gram, mean, total.clamp_min(0.0), cancelled=cancelled)


def shifted_moments(x: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Centred Gram matrix [D, D] and mean [D] of x [N, D], of features also where N < D."""
    rows = tile_rows(config["tile_elements"], x.shape[1])
    shift = x[:rows].mean(0, dtype=torch.float64)
    gram, sums = _summed(x, rows, shift)
    gram.addr_(sums, sums, alpha=-1.0 / x.shape[0])
    return gram, sums / x.shape[0] + shift


def _provisional_mean(x: Tensor) -> Tensor | None:
    """Mean [D] of the first samples, to be taken out of all; None where it is near zero.

    Taking out the true mean afterwards then cancels nothing, or little.
    """
    wide = x.double()
    mean = wide.mean(0)  # [D]
    flat = wide.reshape(-1)
    # A product of its own stores no squares.
    offset, square = mean.square().sum(), torch.dot(flat, flat) / x.shape[0]
    return None if bool(offset <= _NEAR * (square - offset)) else mean


def _summed(x: Tensor, rows: int, shift: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gram matrix [D, D] and sums [D] of x [N, D] less a shift, if there is one."""
    work = [partial(_upper_and_sums, share, rows, shift) for share in _gram_shares(x, rows)]
    with on_one_thread_each(where=len(work) > 1):
        found = run_side_by_side(work)
    gram, sums = found[0]
    with on_one_thread(where=len(gram) <= _SMALL):
        for more_gram, more_sums in found[1:]:
            gram += more_gram
            sums += more_sums
        mirror(gram)
    return gram, sums


def _gram_shares(x: Tensor, rows: int) -> list[Tensor]:
    """Rows of x in a part a thread, or as one where threads share products of large matrices."""
    shares = row_shares(x, rows)
    most = plan.PRIVATE_BYTES // (8 * x.shape[1] ** 2)
    if len(shares) <= most:
        return shares
    return list(x.tensor_split(most)) if 2 * most >= len(shares) else [x]


def _upper_and_sums(x: Tensor, rows: int, shift: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gram matrix [D, D] of the shifted x [N, D], above its diagonal, and sums [D]."""
    D = x.shape[1]
    gram = torch.zeros(D, D, dtype=torch.float64, device=x.device)
    sums = torch.zeros(D, dtype=torch.float64, device=x.device)
    for tile in tiles(x, rows, shift):
        sums += tile.sum(0)
        add_square(gram, tile)
    return gram, sums


def _wide_moments(x: Tensor, center: bool, config: Config) -> Moments:
    """The same for fewer samples than features: a tile holds whole columns, so its mean too."""
    N, D = x.shape
    columns = tile_rows(config["tile_elements"], N)
    mean = torch.empty(D, dtype=torch.float64, device=x.device)

    def share(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        gram = torch.zeros(N, N, dtype=torch.float64, device=x.device)
        total = torch.zeros((), dtype=torch.float64, device=x.device)
        for part, mean_of_part in zip(x.split(columns, 1), mean.split(columns), strict=True):
            # What is centred in place is a copy: float64 would be the caller's own memory.
            tile = part.to(torch.float64, copy=center)  # [N, columns]
            torch.mean(tile, 0, out=mean_of_part)
            if center:
                tile -= mean_of_part
                total += tile.square().sum()
            else:
                total += tile.square().sum() - N * mean_of_part.square().sum()
            add_square(gram, tile.T)
        return gram, total

    parts = _gram_shares(x.T, columns)
    # Views, split alike, into which every thread writes the means of its own columns.
    means = mean.tensor_split(len(parts))
    work = [partial(share, part.T, own) for part, own in zip(parts, means, strict=True)]
    with on_one_thread_each(where=len(work) > 1):
        found = run_side_by_side(work)
    gram, total = found[0]
    for more_gram, more_total in found[1:]:
        gram += more_gram
        total += more_total
    mirror(gram)
    return Moments(gram, mean, total.clamp_min(0.0))


def square_through(x: Tensor, shift: Tensor | None, basis: Tensor, config: Config) -> Tensor:
    """``yᵀ y`` [K, K] in float64 of ``y = (x - shift) @ basis`` [N, K], in one trip."""
    square = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64, device=x.device)
    for tile in tiles(x, tile_rows(config["tile_elements"], x.shape[1]), shift):
        y = tile @ basis  # [rows, K]
        square.addmm_(y.T, y)
    return square


def back_through(x: Tensor, shift: Tensor | None, basis: Tensor, config: Config) -> Tensor:
    """``(x - shift)ᵀ @ basis`` [D, K] in float64 for a basis [N, K], in one trip."""
    D = x.shape[1]
    product = torch.empty(D, basis.shape[1], dtype=torch.float64, device=x.device)
    columns = tile_rows(config["tile_elements"], x.shape[0])

    def multiply(part: slice) -> None:
        tile = x[:, part].to(torch.float64, copy=shift is not None)  # [N, columns]
        if shift is not None:
            tile -= shift[part]
        torch.mm(tile.T, basis, out=product[part])

    parts = [slice(begin, min(begin + columns, D)) for begin in range(0, D, columns)]
    if x.is_cpu:
        run_side_by_side([partial(multiply, part) for part in parts])
    else:
        for part in parts:
            multiply(part)
    return product


def there_and_back(
    x: Tensor, shift: Tensor | None, basis: Tensor, dtype: torch.dtype, config: Config
) -> Tensor:
    """``(x - shift)ᵀ (x - shift) @ basis`` [D, K] in one trip.

    Tiles are multiplied in `dtype`, their products summed in float64.
    """
    copied = shift is not None or x.dtype != dtype
    elements = _DEVICE_TILE[copied] if x.is_cuda else config["tile_elements"]
    rows = tile_rows(elements, x.shape[1])
    small = x.is_cpu and basis.numel() < _WORTH_THREADS
    with on_one_thread(where=small):
        narrow = basis.to(dtype)

    def share(x: Tensor) -> Tensor:
        product = torch.zeros(basis.shape, dtype=torch.float64, device=x.device)
        for tile in tiles(x, rows, shift, dtype):
            product += tile.T @ (tile @ narrow)
        return product

    product, *more = run_side_by_side([partial(share, part) for part in row_shares(x, rows)])
    with on_one_thread(where=small):
        for one in more:
            product += one
    return product


def mean_and_variance(x: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Mean [D] and summed square of the deviations from it [], float64, in one trip."""
    rows = tile_rows(config["tile_elements"], x.shape[1])
    with on_one_thread():
        shift = x[:rows].mean(0, dtype=torch.float64)

    def share(x: Tensor) -> Tensor:
        found = torch.zeros(2, x.shape[1], dtype=torch.float64, device=x.device)
        for tile in tiles(x, rows, shift):
            found[0] += tile.sum(0)
            found[1] += torch.linalg.vecdot(tile, tile, dim=0)
        return found

    found = run_side_by_side([partial(share, part) for part in row_shares(x, rows)])
    sums, squares = torch.stack(found).sum(0)
    total = (squares - sums.square() / x.shape[0]).sum()
    return shift + sums / x.shape[0], total.clamp_min(0.0)


def row_shares(x: Tensor, rows: int) -> list[Tensor]:
    """Rows of x [N, D] in a part a thread, each at least a tile of `rows`; as one on a device.

    A tile takes some calls of less than a millisecond. Threads that meet after every one of them
    wait for each other longer than they work.
    """
    parts = min(worker_count(), x.shape[0] // rows) if x.is_cpu else 1
    return list(x.tensor_split(max(1, parts)))


def tiles(
    x: Tensor, rows: int, shift: Tensor | None, dtype: torch.dtype = torch.float64
) -> Iterator[Tensor]:
    """Blocks of rows of ``x - shift`` in `dtype`, each in the memory of the one before.

    Fresh memory for each would cost more than its values, as a system hands it out in pages.
    """
    if shift is None and x.dtype == dtype:
        yield from x.split(rows)
        return
    room = torch.empty(min(rows, x.shape[0]), x.shape[1], dtype=dtype, device=x.device)
    narrow = None if shift is None else shift.to(dtype)
    for part in x.split(rows):
        if narrow is not None and x.dtype == dtype:
            yield torch.sub(part, narrow, out=room[: part.shape[0]])
            continue
        tile = room[: part.shape[0]].copy_(part)  # [rows, D]
        yield tile if narrow is None else tile.sub_(narrow)

"""Triton kernel of kmeans: the two least scores of every row, in one trip.

Idea: a program owns BLOCK_N rows and walks over all centres, BLOCK_K at a time. The scores
``|c|² - 2 x·c`` of a tile live in registers, and of them only the least, its column and the second
least survive the tile: 12 bytes a row leave the chip, where the matrix of distances would be 4 K.
The second least is what the certificate needs (`tile/certified.py`).

Tiling: up to 128 features the rows stay in shared memory while the centres stream past
(HOLD_X); a centre's tile is then read once for BLOCK_N rows, 64 operations a byte from L2 at 128
rows, which feeds TF32 units. With more features both stream in steps of BLOCK_D. Rows may be
given by number, so that rows whose nearest centre cannot have changed are not read at all.

Products are TF32 on NVIDIA: bfloat16 is twice as fast and leaves four times as many rows to be
evaluated anew in float64, at a thirteenth of its rate. Tried: nothing on a device yet.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.tile.compile_case import CompileCase

# Features of rows that stay in shared memory, by the format of the products: 64 KiB at 128 rows.
# AMD's IEEE products have 64 KiB in all.
MOST_HELD = {"tf32": 128, "ieee": 32}


@triton.jit
def _kmeans_two_least_kernel(
    x_ptr,
    rows_ptr,
    centers_ptr,
    square_ptr,
    best_ptr,
    label_ptr,
    second_ptr,
    N,
    K,
    D,
    HAS_ROWS: tl.constexpr,
    HOLD_X: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    rows = offs_n
    if HAS_ROWS:
        rows = tl.load(rows_ptr + offs_n, mask=mask_n, other=0)
    offs_d = tl.arange(0, BLOCK_D)
    offs_k = tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + rows[:, None] * D + offs_d[None, :]
    best = tl.full([BLOCK_N], float("inf"), tl.float32)
    second = tl.full([BLOCK_N], float("inf"), tl.float32)
    label = tl.zeros([BLOCK_N], tl.int32)
    if HOLD_X:
        held = tl.load(x_ptrs, mask=mask_n[:, None] & (offs_d < D)[None, :], other=0.0)
    for start_k in range(0, K, BLOCK_K):
        columns = start_k + offs_k
        mask_k = columns < K
        c_ptrs = centers_ptr + columns[None, :].to(tl.int64) * D + offs_d[:, None]
        product = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
        if HOLD_X:
            c = tl.load(c_ptrs, mask=(offs_d < D)[:, None] & mask_k[None, :], other=0.0)
            product = tl.dot(held, c, product, input_precision=PRECISION)
        else:
            for start_d in range(0, D, BLOCK_D):
                mask_d = start_d + offs_d < D
                x = tl.load(x_ptrs + start_d, mask=mask_n[:, None] & mask_d[None, :], other=0.0)
                c = tl.load(c_ptrs + start_d, mask=mask_d[:, None] & mask_k[None, :], other=0.0)
                product = tl.dot(x, c, product, input_precision=PRECISION)
        square = tl.load(square_ptr + columns, mask=mask_k, other=float("inf"))
        score = square[None, :] - 2.0 * product  # [BLOCK_N, BLOCK_K]
        tile_best, place = tl.min(score, 1, return_indices=True)
        others = tl.where(offs_k[None, :] == place[:, None], float("inf"), score)
        tile_second = tl.min(others, 1)
        second = tl.minimum(tl.maximum(best, tile_best), tl.minimum(second, tile_second))
        label = tl.where(tile_best < best, start_k + place, label)
        best = tl.minimum(best, tile_best)
    tl.store(best_ptr + offs_n, best, mask=mask_n)
    tl.store(label_ptr + offs_n, label, mask=mask_n)
    tl.store(second_ptr + offs_n, second, mask=mask_n)


def two_least_scores(
    x: Tensor, rows: Tensor | None, centers: Tensor, square: Tensor, precision: str, config: Config
) -> tuple[Tensor, Tensor, Tensor]:
    """Least score, its column and the second least of each row.

    Parameters
    ----------
    x : Tensor [N, D], float32, contiguous
    rows : Tensor [R], int64, which rows; None for all
    centers : Tensor [K, D], float32, contiguous
    square : Tensor [K], float32, squared norms of the centres
    precision : {"tf32", "ieee"}
    config : BLOCK_N, BLOCK_K, BLOCK_D, num_warps, num_stages

    Returns
    -------
    best, label, second : Tensor [R], float32, int32, float32
    """
    R = x.shape[0] if rows is None else rows.shape[0]
    K, D = centers.shape
    best, second = (torch.empty(R, dtype=torch.float32, device=x.device) for _ in range(2))
    label = torch.empty(R, dtype=torch.int32, device=x.device)
    hold = D <= MOST_HELD[precision]
    blocks = {**config, "BLOCK_D": max(16, triton.next_power_of_2(D))} if hold else config
    with torch.cuda.device_of(x):
        _kmeans_two_least_kernel[(triton.cdiv(R, config["BLOCK_N"]),)](
            x, x if rows is None else rows, centers, square, best, label, second, R, K, D,
            HAS_ROWS=rows is not None, HOLD_X=hold, PRECISION=precision, **blocks,
        )  # fmt: skip
    return best, label, second


_SIGNATURE = {
    "x_ptr": "*fp32",
    "rows_ptr": "*i64",
    "centers_ptr": "*fp32",
    "square_ptr": "*fp32",
    "best_ptr": "*fp32",
    "label_ptr": "*i32",
    "second_ptr": "*fp32",
    "N": "i32",
    "K": "i32",
    "D": "i32",
}
_NVIDIA = ("sm_80", "sm_90", "sm_100")
_AMD = ("gfx942", "gfx950")

COMPILE_CASES = tuple(
    CompileCase(
        f"{name}-{'rows' if has_rows else 'all'}-{precision}",
        _kmeans_two_least_kernel,
        _SIGNATURE,
        {
            "HAS_ROWS": has_rows,
            "HOLD_X": name == "held",
            "PRECISION": precision,
            "BLOCK_N": 128,
            "BLOCK_K": 64,
            "BLOCK_D": MOST_HELD[precision] if name == "held" else 32,
        },
        num_warps=8,
        num_stages=2,
        targets=targets,
        multiples_of_16=("K", "D"),
    )
    for precision, targets in (("tf32", _NVIDIA), ("ieee", _AMD))
    for name in ("held", "streamed")
    for has_rows in (False, True)
)

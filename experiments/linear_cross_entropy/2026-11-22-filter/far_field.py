"""What stands in for a dropped tile: its mass, spread over the tile's columns in some way."""

import torch
from gradients import CHUNK, Error, Problem, as_a_kernel
from torch import Tensor

FAR_FIELDS = ("none", "mean", "p", "rank1")
_OF_BLOCK = ("rank1", "inner")


def filtered(
    problem: Problem, live: Tensor, tile: tuple[int, int], far: str, *, one_hot: bool = True
) -> tuple[Error, Error]:
    """Errors of dx and dw when dead tiles are skipped.

    In a dead tile ``p[i, j]`` is replaced by ``mass[i] * share[j]``, where `mass` is the row's
    exact sum within the tile and `share` is

    - "none": nothing stands in;
    - "mean": even;
    - "p": the column's mean probability over all tokens;
    - "rank1": the column's mean probability over the tokens of this block of rows;
    - "inner": the column's mean share of the tile's mass over the tokens of this block. It needs
      no log-sum-exp, so the first pass can make it while it holds the tile.

    `one_hot` says whether a target inside a dead tile is added exactly.
    """
    row_live = live.repeat_interleave(tile[0], 0)[: len(problem.p)]  # [N, tiles]
    v = problem.p.shape[1]

    def g_of(rows: slice) -> Tensor:
        return problem.g(rows) * row_live[rows].repeat_interleave(tile[1], 1)[:, :v]

    dx, dw = torch.zeros_like(problem.x).float(), torch.zeros_like(problem.w).float()
    if one_hot:
        _add_one_hot(problem, row_live, tile[1], dx, dw)
    if far != "none":
        _add_far_field(problem, row_live, tile, far, dx, dw)
    return as_a_kernel(problem, g_of, dx, dw)


def _add_one_hot(problem: Problem, row_live: Tensor, width: int, dx: Tensor, dw: Tensor) -> None:
    dead = ~row_live.gather(1, (problem.target // width)[:, None])[:, 0]
    target = problem.target[dead]
    dx[dead] -= problem.w[target].float()
    dw.index_add_(0, target, problem.x[dead].float(), alpha=-1)


def _add_far_field(
    problem: Problem, row_live: Tensor, tile: tuple[int, int], far: str, dx: Tensor, dw: Tensor
) -> None:
    n, v = problem.p.shape
    of_tile = torch.arange(v, device=dx.device) // tile[1]
    w = problem.w.float()

    def by_tile(values: Tensor) -> Tensor:
        sums = torch.zeros(row_live.shape[1], *values.shape[1:], device=dx.device)
        return sums.index_add_(0, of_tile, values)

    # "mean" and "p" have one share for all rows, the others one for each block of rows.
    length = tile[0] if far in _OF_BLOCK else CHUNK
    everywhere = problem.p.sum(0) if far == "p" else torch.ones(v, device=dx.device)
    for start in range(0, n, length):
        rows = slice(start, start + length)
        p, x, dead = problem.p[rows], problem.x[rows].float(), ~row_live[rows]
        whole = by_tile(p.T).T  # [rows, tiles]
        mass = whole * dead
        weight = everywhere
        if far == "rank1":
            weight = p.sum(0)
        elif far == "inner":
            weight = (p / whole.clamp_min(1e-30)[:, of_tile]).sum(0)
        share = weight / by_tile(weight).clamp_min(1e-30)[of_tile]  # [V]
        dx[rows] += mass @ by_tile(w * share[:, None])
        dw += (mass.T @ x)[of_tile] * share[:, None]

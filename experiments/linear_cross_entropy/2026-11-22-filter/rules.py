"""Which tiles of the softmax a backward pass may skip."""

import torch
from gradients import Problem
from torch import Tensor
from torch.nn.functional import pad

Tile = tuple[int, int]


def live_tiles(problem: Problem, tile: Tile, rule: str, eps: float) -> Tensor:
    """Which tiles stay, bool ``[row blocks, column tiles]``.

    - "element" (cut-cross-entropy's): a tile with any ``|p - one_hot| > eps`` stays;
    - "L1": the dropped ``sum p`` of each row is at most ``eps * (1 - p_target)``;
    - "L2": the dropped ``sum p**2`` of each row is at most ``eps**2 * sum (p - one_hot)**2``;
    - "rank1": as "L2", for what the tile's rank-one model leaves of p;
    - "inner": the same with the model that the first pass can make (see `far_field`).

    Under the three budgets a dropped tile's one-hot entries are added exactly, a row of the head
    each. A block of rows drops column tiles in the order of their worst row's share of its
    budget, as long as no row overdraws.
    """
    if rule == "element":
        return _largest_entry(problem, tile) > eps
    p_target = problem.p_target
    if rule == "L1":
        value = _by_tile(problem.p, tile, lambda tiles: tiles.sum(-1))
        budget = eps * (1 - p_target)
    else:
        left = {"L2": _squares, "rank1": _beside_rank_one, "inner": _beside_inner}[rule]
        value = _by_tile(problem.p, tile, left)
        squares = problem.p.square().sum(1) - p_target.square() + (1 - p_target).square()
        budget = eps**2 * squares
    share = blocks(value / budget.clamp_min(1e-30)[:, None], tile[0])
    order = share.amax(1).argsort(1)  # [row blocks, tiles]
    spent = share.gather(2, order[:, None].expand_as(share)).cumsum(2)
    dead = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, (spent <= 1).all(1))
    return ~dead


def blocks(value: Tensor, tile_rows: int) -> Tensor:
    """Rows in blocks ``[row blocks, rows, ...]``, the last one padded with zeros."""
    padded = pad(value, (0, 0, 0, -len(value) % tile_rows))
    return padded.view(-1, tile_rows, value.shape[1])


def _by_tile(p: Tensor, tile: Tile, reduce) -> Tensor:
    """Reduce ``[row blocks, rows, tiles, columns]`` over the columns, some blocks at a time."""
    tile_rows, tile_columns = tile
    rows_at_once = max(1, 1024 // tile_rows) * tile_rows
    parts = []
    for chunk in p.split(rows_at_once):
        padded = blocks(pad(chunk, (0, -p.shape[1] % tile_columns)), tile_rows)
        tiles = padded.view(*padded.shape[:2], -1, tile_columns)
        parts.append(reduce(tiles).flatten(0, 1)[: len(chunk)])
    return torch.cat(parts)  # [N, tiles]


def _squares(tiles: Tensor) -> Tensor:
    return tiles.square().sum(-1)


def _beside_rank_one(tiles: Tensor) -> Tensor:
    row = tiles.sum(3, keepdim=True)
    share = tiles.sum(1, keepdim=True) / row.sum(1, keepdim=True).clamp_min(1e-30)
    return (tiles - row * share).square().sum(-1)


def _beside_inner(tiles: Tensor) -> Tensor:
    row = tiles.sum(3, keepdim=True)
    share = (tiles / row.clamp_min(1e-30)).mean(1, keepdim=True)
    return (tiles - row * share).square().sum(-1)


def _largest_entry(problem: Problem, tile: Tile) -> Tensor:
    without_target = problem.p.scatter(1, problem.target[:, None], 0.0)
    largest = _by_tile(without_target, tile, lambda tiles: tiles.amax(-1))
    of_target = (problem.target // tile[1])[:, None]
    at_target = largest.gather(1, of_target).maximum(1 - problem.p_target[:, None])
    return blocks(largest.scatter(1, of_target, at_target), tile[0]).amax(1)

"""The forces of t-SNE in plain torch: one pass over tiles of pairs that stay in cache."""

import math

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.tsne import plan
from onetrip.ops.tsne.affinities import Affinities
from onetrip.ops.tsne.descent import Forces


def make_forces(
    x: Tensor, n_components: int, perplexity: float, memory_budget: int | None, config: Config
) -> Forces:
    """Find the affinities of x [N, D]; return the function that descent asks for forces."""
    return _Forces(x, n_components, perplexity, memory_budget, config)


class _Forces:
    """Attraction and repulsion of all pairs on and above the diagonal, each once.

    A pair pulls and pushes both of its samples, so that half of the pairs are enough. Repulsion
    is summed before its normaliser is known, which comes out of the same pass.
    """

    def __init__(
        self,
        x: Tensor,
        n_components: int,
        perplexity: float,
        memory_budget: int | None,
        config: Config,
    ) -> None:
        self._dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        self._freedom = max(n_components - 1, 1)
        self._tiles = plan.tiles(x.shape[0], config["tile"])
        self._affinities = Affinities(x, perplexity)
        self._kept: list[Tensor] | None = None
        self._mass, self._neg_entropy = 0.0, 0.0
        itemsize = self._dtype.itemsize
        if plan.keeps_affinities(
            x.shape[0], config["tile"], itemsize, memory_budget, x.device.type
        ):
            self._kept = [self._affinities.tile(*tile, self._dtype) for tile in self._tiles]
        elif self._dtype == torch.float32:
            self._affinities.narrow()
        for place, tile in enumerate(self._tiles):
            p = self._joint(place)
            twice = _times(tile)
            self._mass += twice * float(p.sum(dtype=torch.float64))
            self._neg_entropy += twice * float(torch.xlogy(p, p).sum(dtype=torch.float64))
        edge = self._tiles[0][1]
        self._room = [torch.empty(edge * edge, dtype=self._dtype, device=x.device) for _ in "ab"]

    def __call__(self, y: Tensor, exaggeration: float, wanted: bool) -> tuple[Tensor, float]:
        """Gradient [N, M] at the embedding y [N, M], and the divergence if it is wanted."""
        N, M = y.shape
        ones = torch.ones(N, 1, dtype=y.dtype, device=y.device)
        points = torch.cat([y, ones], 1)  # [N, M + 1]: sums of weights come with sums of points
        scaled = (y / math.sqrt(self._freedom)).T.contiguous()  # [M, N]
        pull, push = torch.zeros_like(points), torch.zeros_like(points)
        normaliser, p_log_t = 0.0, 0.0
        for place, tile in enumerate(self._tiles):
            begin, end, first, last = tile
            rows, columns = points[begin:end], points[first:last]
            t, weight = self._similarities(scaled, tile)
            p = self._joint(place)
            twice = _times(tile)
            normaliser += twice * float(t.sum())
            if wanted:
                # The diagonal's t is 0, and so is its p.
                p_log_t += twice * float(torch.xlogy(p, t.clamp_min(1e-37)).sum())
            torch.mul(p, t, out=weight)
            pull[begin:end].addmm_(weight, columns)
            if begin != first:
                pull[first:last].addmm_(weight.T, rows)
            t.square_()
            push[begin:end].addmm_(t, columns)
            if begin != first:
                push[first:last].addmm_(t.T, rows)
        weights = pull.mul_(exaggeration).sub_(push, alpha=1.0 / normaliser)
        gradient = y * weights[:, M:] - weights[:, :M]
        gradient *= 2.0 * (self._freedom + 1) / self._freedom
        return gradient, self._divergence(exaggeration, normaliser, p_log_t) if wanted else math.nan

    def _similarities(
        self, scaled: Tensor, tile: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """Student's t of a tile's pairs, 0 on the diagonal, and room for another tile."""
        begin, end, first, last = tile
        shape = (end - begin, last - first)
        t, difference = (room[: shape[0] * shape[1]].view(shape) for room in self._room)
        t.fill_(1.0)
        for coordinate in scaled:
            torch.sub(coordinate[begin:end, None], coordinate[None, first:last], out=difference)
            t.addcmul_(difference, difference)
        if self._freedom == 1:
            t.reciprocal_()
        else:
            t.pow_(-(self._freedom + 1) / 2)
        if begin == first:
            t.fill_diagonal_(0.0)
        return t, difference

    def _joint(self, place: int) -> Tensor:
        if self._kept is not None:
            return self._kept[place]
        return self._affinities.tile(*self._tiles[place], self._dtype)

    def _divergence(self, exaggeration: float, normaliser: float, p_log_t: float) -> float:
        """Σ e p log(e p / q) with q = t / normaliser, from sums over all pairs."""
        shift = math.log(exaggeration) + math.log(normaliser)
        return exaggeration * (self._neg_entropy + shift * self._mass - p_log_t)


def _times(tile: tuple[int, int, int, int]) -> int:
    """How often a tile's pairs count: those off the diagonal stand for their mirror image too."""
    return 1 if tile[0] == tile[2] else 2

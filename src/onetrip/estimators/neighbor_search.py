"""What a fitted neighbours estimator searches: by the operator, or a k-d tree where that wins."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from onetrip.estimators.arrays import Given, as_tensor
from onetrip.ops.kneighbors import select
from onetrip.ops.kneighbors.api import find
from onetrip.ops.kneighbors.metric import make_metric
from onetrip.ops.kneighbors.radius import search_within
from onetrip.ops.kneighbors.torch_impl import sort_exactly
from onetrip.tile.side_by_side import run_side_by_side, worker_count

# Dense bytes of a block of sparse rows.
_BLOCK_BYTES = 32 * 2**20
# Queries that a thread asks a tree at a time: an interrupt waits for as many; fewer are no work.
_TREE_ROWS, _FEWEST_TREE_ROWS = 4096, 256
# Two distances that float64 sums in another order may swap.
_TIE = 1e-13


# Distances and indices, a tensor a query.
Lists = tuple[list[Tensor], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Distances (float64, ascending) and indices [Q, k]; how many queries were reevaluated."""

    distances: Tensor
    indices: Tensor
    reevaluated: int


class Corpus:
    """The samples of `fit`, and the ways to ask for neighbours of others or of themselves."""

    def __init__(self, given: Given, metric: str, precision: str, *, tree: bool) -> None:
        self.given = given
        self.metric = metric
        self.precision = precision
        self.reevaluated_share = 0.0
        self.tree: Any = None
        if tree:
            from scipy.spatial import KDTree

            self.tree = KDTree(given.samples.double().numpy())

    @property
    def n_samples(self) -> int:
        """Rows of the corpus."""
        return self.given.shape[0]

    def nearest(self, queries: Given | None, k: int, *, ranked: bool = True) -> Neighbors:
        """The `k` nearest samples of every query; None: of every sample, itself excluded.

        Without `ranked` they may come in any order, and distances say nothing.
        """
        found = self._nearest(queries, k, ranked)
        self.reevaluated_share = found.reevaluated / max(1, found.indices.shape[0])
        return found

    def _nearest(self, queries: Given | None, k: int, ranked: bool) -> Neighbors:
        if self.given.csr is not None or (queries is not None and queries.csr is not None):
            return self._nearest_sparse(queries, k)
        y = self.given.samples
        if queries is None:
            if self.tree is not None:
                return self._nearest_in_tree(y, k, own=True)
            return self._ask(y, y, k, exclude_self=True, ranked=ranked)
        if self.tree is not None:
            return self._nearest_in_tree(queries.samples, k, own=False)
        x, y = _alike(queries.samples, y)
        return self._ask(x, y, k, ranked=ranked)

    def within(self, queries: Given | None, radius: float) -> Lists:
        """Distances and indices of all samples within `radius` of each query, by index."""
        if self.given.csr is not None or (queries is not None and queries.csr is not None):
            return self._within_sparse(queries, radius)
        corpus = self.given.samples
        if queries is None:
            return self._near(corpus, corpus, radius, exclude_self=True)
        return self._near(*_alike(queries.samples, corpus), radius)

    def _near(self, x: Tensor, y: Tensor, radius: float, *, exclude_self: bool = False) -> Lists:
        config = select.DEFAULTS["torch"]
        found = search_within(x, y, radius, self.metric, exclude_self=exclude_self, config=config)
        distances = make_metric(self.metric, x, y[:0]).finish(found.values)
        counts = found.counts.tolist()
        return list(distances.split(counts)), list(found.indices.split(counts))

    def _within_sparse(self, queries: Given | None, radius: float) -> Lists:
        """The same, with what is sparse made dense a block at a time."""
        distances: list[Tensor] = []
        indices: list[Tensor] = []
        for x in _dense_blocks(self.given if queries is None else queries):
            begin = 0
            parts = []
            for y in _dense_blocks(self.given):
                near, places = self._near(*_alike(x, y), radius)
                parts.append((near, [place + begin for place in places]))
                begin += y.shape[0]
            for row in range(x.shape[0]):
                near = torch.cat([part[0][row] for part in parts])
                places = torch.cat([part[1][row] for part in parts])
                if queries is None:
                    kept = places != len(indices)
                    near, places = near[kept], places[kept]
                distances.append(near)
                indices.append(places)
        return distances, indices

    def _ask(
        self, x: Tensor, y: Any, k: int, *, exclude_self: bool = False, ranked: bool = True
    ) -> Neighbors:
        asked = {"metric": self.metric, "precision": self.precision, "ranked": ranked}
        found = find(x, y, k, exclude_self=exclude_self, **asked)
        distances = found.values
        if ranked:
            distances = make_metric(self.metric, x, x[:0]).finish(distances)
        return Neighbors(distances, found.indices, found.reevaluated)

    def _nearest_in_tree(self, x: Tensor, k: int, *, own: bool) -> Neighbors:
        width = min(k + 1 + own, self.n_samples)
        distances, indices = self._ask_tree(x, width)
        if own:
            distances[indices == torch.arange(x.shape[0])[:, None]] = torch.inf
        distances, indices = sort_exactly(distances, indices, width)
        nearest, places = distances[:, :k].contiguous(), indices[:, :k].contiguous()
        if width == k + own:
            return Neighbors(nearest, places, 0)
        # A tree breaks ties as it finds them: where the last wanted is one, search all.
        tied = distances[:, k - 1] >= distances[:, k] * (1.0 - _TIE)
        again = tied.nonzero().flatten()
        if again.numel():
            asked, y = _alike(x[again], self.given.samples)
            found = self._ask(asked, y, min(k + own, self.n_samples))
            if own:
                found = drop_own(found, again)
            nearest[again], places[again] = found.distances, found.indices
        return Neighbors(nearest, places, again.numel())

    def _ask_tree(self, x: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Distances and indices [Q, width], in threads of our own.

        SciPy's threads go on after an interrupt, in memory that is no longer theirs.
        """
        wanted = np.arange(1, width + 1)

        def ask(part: Tensor) -> tuple[Tensor, Tensor]:
            distances, indices = self.tree.query(part.double().numpy(), k=wanted)
            return torch.from_numpy(distances), torch.from_numpy(indices)

        rows = min(_TREE_ROWS, max(_FEWEST_TREE_ROWS, -(-x.shape[0] // worker_count())))
        found = run_side_by_side([partial(ask, part) for part in x.split(rows)])
        distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
        return distances, indices

    def _nearest_sparse(self, queries: Given | None, k: int) -> Neighbors:
        asking = self.given if queries is None else queries
        asked = k if queries is not None else min(k + 1, self.n_samples)
        wide = torch.promote_types(_dtype_of(asking), _dtype_of(self.given))
        parts, begin = [], 0
        for x in _blocks_as(asking, wide):
            found = self._ask(x, _blocks_as(self.given, wide), asked)
            if queries is None:
                found = drop_own(found, torch.arange(begin, begin + x.shape[0], device=x.device))
            begin += x.shape[0]
            parts.append(found)
        return Neighbors(
            torch.cat([part.distances for part in parts]),
            torch.cat([part.indices for part in parts]),
            sum(part.reevaluated for part in parts),
        )


def drop_own(found: Neighbors, own: Tensor) -> Neighbors:
    """One neighbour less: the sample itself, or the last where it is not among them."""
    kept = found.indices != own[:, None]
    kept[kept.all(1), -1] = False
    shape = found.indices.shape[0], found.indices.shape[1] - 1
    return Neighbors(
        found.distances[kept].view(shape), found.indices[kept].view(shape), found.reevaluated
    )


def _alike(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the dtype that holds both, on the device of the queries' computation."""
    wide = torch.promote_types(x.dtype, y.dtype)
    return x.to(wide), y.to(wide)


def _dense_blocks(given: Given) -> Iterator[Tensor]:
    """The rows as dense tensors of a bounded size."""
    if given.csr is None:
        yield given.samples
        return
    n_samples, n_features = given.shape
    csr = sparse.csr_array(given.csr)
    rows = max(1, _BLOCK_BYTES // (csr.dtype.itemsize * max(1, n_features)))
    for begin in range(0, n_samples, rows):
        block = csr[begin : begin + rows].toarray()
        yield torch.from_numpy(block).to(given.device)


def _blocks_as(given: Given, dtype: torch.dtype) -> Iterator[Tensor]:
    for block in _dense_blocks(given):
        yield block.to(dtype)


def _dtype_of(given: Given) -> torch.dtype:
    return given.samples.dtype if given.csr is None else as_tensor(given.csr.data[:0]).dtype

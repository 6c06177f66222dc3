"""`onetrip.kneighbors`: contract, checks, dispatch."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.core.selection import resolve
from onetrip.ops.kneighbors import select
from onetrip.ops.kneighbors.arguments import check_matrix, check_options
from onetrip.ops.kneighbors.metric import make_metric
from onetrip.ops.kneighbors.reference import kneighbors_reference
from onetrip.ops.kneighbors.stream import chunks_of
from onetrip.ops.kneighbors.torch_impl import Found, merge
from onetrip.tile.problem import problem_on

Impl = Literal["auto", "reference", "torch", "triton"]
MetricName = Literal["euclidean", "sqeuclidean", "cosine", "inner_product"]
Precision = Literal["certified", "fast"]


def kneighbors(
    queries: Float[Tensor, "Q D"],
    corpus: Float[Tensor, "N D"] | Iterable[Tensor],
    *,
    n_neighbors: int,
    metric: MetricName = "euclidean",
    exclude_self: bool = False,
    precision: Precision = "certified",
    impl: Impl = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Find the nearest corpus rows of every query, exactly, sorted, ties by the smallest index.

    Computes ``torch.cdist(queries, corpus).sort(stable=True)`` and keeps the first columns. The
    [Q, N] distances never exist: tiles of scores are formed, looked at and dropped.

    Parameters
    ----------
    queries : Tensor [Q, D], float32 | float64 | float16 | bfloat16
        Finite, any strides.
    corpus : Tensor [N, D], dtype of `queries`, or an iterable of such tensors
        A tensor over a memory map is read tile by tile. An iterable gives consecutive chunks of a
        corpus that is larger than memory. A corpus on a CPU streams to queries on a GPU.
    n_neighbors : int
        From 1 to N, or N - 1 with `exclude_self`.
    metric : {"euclidean", "sqeuclidean", "cosine", "inner_product"}, default "euclidean"
        Cosine distance is one less the cosine. "inner_product" returns products, largest first.
    exclude_self : bool, default False
        Query i and corpus row i are the same sample, and not their own neighbour.
    precision : {"certified", "fast"}, default "certified"
        "certified" finds what float64 finds. "fast" trusts scores whose products were rounded:
        near ties may come out wrong, and there is no list to check them against.
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    distances : Tensor [Q, n_neighbors], float64 for float64 input, else float32
    values : dict
        ``{"indices": Tensor [Q, n_neighbors], int64}``.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        Which argument, what was expected, what came.
    UnsupportedError
        More neighbours than rows, or `impl` cannot run this problem here; the message says why.

    Notes
    -----
    Not differentiable. Deterministic. Distances are sums of squared differences in float64,
    rounded once. Error budget: `spec.py`. Cost: `cost.py`.

    References
    ----------
    sklearn.neighbors.NearestNeighbors.

    Examples
    --------
    >>> import onetrip, torch
    >>> corpus = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    >>> distances, values = onetrip.kneighbors(torch.zeros(1, 2), corpus, n_neighbors=2)
    >>> distances
    tensor([[0., 1.]])
    >>> values["indices"]
    tensor([[0, 2]])
    """
    check_options(n_neighbors, metric, precision)
    check_matrix("queries", queries)
    if recording.active() and isinstance(corpus, Tensor):
        options = {"n_neighbors": n_neighbors, "metric": metric, "exclude_self": exclude_self}
        tensors = {"queries": queries, "corpus": corpus}
        recording.note("kneighbors", tensors, {**options, "precision": precision})
    found = find(
        queries,
        corpus,
        n_neighbors,
        metric=metric,
        exclude_self=exclude_self,
        precision=precision,
        impl=impl,
    )
    return distances_of(found, queries, metric), {"indices": found.indices}


def distances_of(found: Found, queries: Tensor, metric: str) -> Tensor:
    """What `kneighbors` returns for exact values."""
    wide = torch.float64 if queries.dtype == torch.float64 else torch.float32
    return make_metric(metric, queries, queries[:0]).finish(found.values).to(wide)


def find(
    queries: Tensor,
    corpus: Tensor | Iterable[Tensor],
    n_neighbors: int,
    *,
    metric: str = "euclidean",
    exclude_self: bool = False,
    precision: str = "certified",
    ranked: bool = True,
    impl: str = "auto",
) -> Found:
    """As `kneighbors`, with float64 values and the number of queries that were reevaluated.

    Without `ranked` neighbours may come in any order, and without values.
    """
    if isinstance(corpus, Tensor):
        check_matrix("corpus", corpus, like=queries)
        if corpus.device == queries.device:
            return _find_in(
                queries, corpus, n_neighbors, metric, exclude_self, precision, impl, ranked
            )
        corpus = chunks_of(corpus, queries.device)
    if exclude_self:
        way_out = "Ask for one neighbour more and drop the sample itself."
        raise UnsupportedError(f"`exclude_self` needs a corpus that is one tensor. {way_out}")
    return _find_in_chunks(queries, iter(corpus), n_neighbors, metric, precision, impl)


def _find_in_chunks(
    queries: Tensor, chunks: Iterator[Tensor], k: int, metric: str, precision: str, impl: str
) -> Found:
    best: Found | None = None
    first = 0
    for chunk in chunks:
        check_matrix("corpus", chunk, like=queries)
        if chunk.shape[0] == 0:
            continue
        nearest = min(k, chunk.shape[0])
        found = _find_in(queries, chunk.to(queries.device), nearest, metric, False, precision, impl)
        best = merge(
            [found] if best is None else [best, found], [first] if best is None else [0, first], k
        )
        first += chunk.shape[0]
    if best is None or first < k:
        expected = f"at most the {first} rows of the corpus"
        raise ArgumentError(complaint("n_neighbors", expected=expected, got=k))
    return best


def _find_in(
    queries: Tensor,
    corpus: Tensor,
    k: int,
    metric: str,
    exclude_self: bool,
    precision: str,
    impl: str,
    ranked: bool = True,
) -> Found:
    axes = {"Q": queries.shape[0], "N": corpus.shape[0], "D": queries.shape[1], "K": k}
    options = {
        "n_neighbors": k,
        "metric": metric,
        "exclude_self": exclude_self,
        "precision": precision,
    }
    chosen, config = resolve(
        select.OPERATOR, select, impl, problem_on(queries.device, axes, queries.dtype, options)
    )
    if chosen == "reference":
        return _from_reference(queries, corpus, options)
    if queries.shape[0] == 0:
        empty = queries.new_empty(0, k, dtype=torch.float64)
        return Found(empty, empty.long(), 0)
    return _implementation(chosen).search(
        queries.detach(),
        corpus.detach(),
        k,
        metric,
        exclude_self=exclude_self,
        certified=precision == "certified",
        config=config,
        # Other implementations rank what they find.
        **({"ranked": ranked} if chosen == "torch" else {}),
    )


def _from_reference(queries: Tensor, corpus: Tensor, options: dict) -> Found:
    distances, values = kneighbors_reference(queries, corpus, **options)
    exact = distances.double()
    if options["metric"] == "euclidean":
        exact = exact.square()
    elif options["metric"] == "inner_product":
        exact = -exact
    return Found(exact, values["indices"], 0)


def _implementation(impl: str):
    """The module that searches; Triton is imported when it is wanted."""
    return importlib.import_module(f"onetrip.ops.kneighbors.{impl}_impl")

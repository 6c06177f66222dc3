"""What each estimator does, stage by stage, before any of it runs: which operator, on which sizes.

Neither torch nor an estimator is imported. A stage that is no operator's states what it must do at
least, and has a floor; a prediction where `stage_times.py` has figures for it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from onetrip.core.cost import ITEMSIZE, Cost
from onetrip.core.device import Device
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.operators import did_you_mean
from onetrip.core.spec import EMPTY
from onetrip.estimators import stage_times
from onetrip.ops.multinomial_nb.select import KERNEL_DTYPES, score_classes

# Rows that mini-batch k-means labels at a time.
LABEL_ROWS = 1 << 18
# What the tree of merges takes of each sample, at most.
_CLUSTERS_BYTES = 200
# What scikit-learn's signature, and ours, has for what is not given.
_DEFAULTS = {
    "n_clusters": 8,
    "n_neighbors": 5,
    "batch_size": 1024,
    "n_init": 1,
    "perplexity": 30,
    "min_cluster_size": 5,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One thing that an estimator does.

    Either `operator` runs on `axes`, `times` over, with `held_bytes` beside what it takes; or
    `cost` says the least that must be done, with `held_bytes` in memory, `cpu_bytes` more on a CPU,
    and `latency_ms` how long that takes on a device for which it was fitted. `dtype` is in which,
    where it is not the samples' own.
    """

    does: str
    operator: str = ""
    axes: Mapping[str, int] = field(default_factory=lambda: EMPTY)  # type: ignore[assignment]
    options: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    times: int = 1
    cost: Cost | None = None
    held_bytes: int = 0
    cpu_bytes: int = 0
    latency_ms: Callable[[Device], float] | None = None
    dtype: str = ""
    note: str = ""


class Sizes:
    """The sizes and parameters of one step, by scikit-learn's words; knows which were asked for."""

    def __init__(self, step: str, given: Mapping[str, int], dtype: str) -> None:
        self.step = step
        self.given = given
        self.dtype = dtype
        self.itemsize = ITEMSIZE[dtype]
        self.asked: set[str] = set()

    def __getitem__(self, word: str) -> int:
        """The size called `word`, or scikit-learn's default of it."""
        self.asked.add(word)
        found = self.given.get(word, _DEFAULTS.get(word))
        if found is None:
            expected = f"a size `{word}=…` for {self.step}"
            raise ArgumentError(complaint("sizes", expected=expected, got=dict(self.given)))
        return found

    def get(self, word: str, default: int) -> int:
        """The size called `word`, or `default`."""
        self.asked.add(word)
        return self.given.get(word, default)

    def up_to(self, word: str, most: int, default: int | None = None) -> int:
        """The size called `word`, which is at least 1 and at most `most`."""
        found = self[word] if default is None else self.get(word, default)
        if not 1 <= found <= most and most:
            expected = f"from 1 to {most} for {self.step} of these samples"
            raise ArgumentError(complaint(word, expected=expected, got=found))
        return found

    @property
    def samples(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        return self["n_samples"], self["n_features"]

    def if_float32(self, latency_ms: Callable[[Device], float]) -> Callable[[Device], float] | None:
        """The figure of a stage whose kernels take float32 alone; None of other samples."""
        return latency_ms if self.dtype == "float32" else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages of `fit`, then of what a pipeline asks next; how many features that hands on."""

    stages: tuple[Stage, ...]
    features: int | None


def _kmeans(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    K = sizes.up_to("n_clusters", N)
    options = {"max_iter": sizes.get("max_iter", 300)}
    fit = Stage("fit", "kmeans", {"N": N, "D": D, "K": K}, options, sizes["n_init"])
    return Plan((_plus_plus(N, D, K, sizes), fit, _distances(N, D, K, sizes)), K)


def _mini_batch_kmeans(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    K = sizes.up_to("n_clusters", N)
    starting = min(N, max(3 * min(sizes["batch_size"], N), 3 * K))
    rows = sizes.get("max_iter", 100) * N
    batch = min(N, sizes["batch_size"])
    batches = Stage(
        "batches",
        cost=Cost(2 * rows * D * (K + 1), rows * D * sizes.itemsize, 4 * K * D),
        held_bytes=2 * batch * D * sizes.itemsize,
        latency_ms=sizes.if_float32(lambda _: rows // max(1, batch) * stage_times.BATCH_MS),
        note="all passes, samples where they are; it stops when batches stop gaining",
    )
    block = min(N, LABEL_ROWS)
    times = -(-N // max(1, block))
    labels = Stage("label", "kmeans", {"N": block, "D": D, "K": K}, {"max_iter": 0}, times)
    return Plan(
        (
            _plus_plus(starting, D, K, sizes),
            batches,
            labels,
            _distances(N, D, K, sizes),
        ),
        K,
    )


def _plus_plus(N: int, D: int, K: int, sizes: Sizes) -> Stage:
    """Greedy k-means++: each turn compares some candidates with every sample."""
    turns, trials = K * sizes["n_init"], 2 + int(math.log(max(1, K)))
    cost = Cost(3 * turns * trials * N * D, turns * N * D * sizes.itemsize, K * D * sizes.itemsize)
    return Stage(
        "start",
        cost=cost,
        # Norms of the samples, and their distances if each candidate were a centre.
        held_bytes=N * (D * sizes.itemsize + 4 * (trials + 2)) + cost.bytes_written,
        latency_ms=sizes.if_float32(
            lambda device: turns * stage_times.start_turn_ms(N, D, trials, device)
        ),
        note="k-means++, a trip over its samples for each centre",
    )


def _distances(N: int, D: int, K: int, sizes: Sizes) -> Stage:
    return Stage(
        "transform",
        cost=Cost(2 * N * D * K, (N + K) * D * sizes.itemsize, 4 * N * K),
        held_bytes=N * (D * sizes.itemsize + 4 * K),
        latency_ms=sizes.if_float32(lambda device: stage_times.distances_ms(N, D, K, device)),
        note="distances to all centres are the result",
    )


def _hdbscan(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    options = {"min_samples": sizes.get("min_samples", sizes["min_cluster_size"])}
    tree = Stage("tree", "hdbscan", {"N": N, "D": D}, options)
    # The edges come in, with core distances; a label, a probability and a score go out.
    cost = Cost(0, N * (16 + 2 * max(4, sizes.itemsize)), 24 * N)
    clusters = Stage(
        "clusters",
        cost=cost,
        held_bytes=N * D * sizes.itemsize + _CLUSTERS_BYTES * N,
        latency_ms=lambda device: stage_times.clusters_ms(N),
        note="merges in the tree's order, condensed, labelled",
    )
    return Plan((tree, clusters), None)


def _neighbors(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    axes = {"Q": sizes.get("n_queries", N), "N": N, "D": D, "K": sizes.up_to("n_neighbors", N)}
    return Plan((Stage("kneighbors", "kneighbors", axes),), None)


def _neighbors_vote(sizes: Sizes) -> Plan:
    note = "votes of the neighbours"
    classes = sizes.get("n_classes", 1)
    # Of each neighbour its weight and its class.
    return _neighbors_then(sizes, classes, stage_times.votes_ms, codes=1, note=note)


def _neighbors_mean(sizes: Sizes) -> Plan:
    outputs, note = sizes.get("n_outputs", 1), "means of the neighbours' targets"
    times = stage_times.means_ms
    return _neighbors_then(sizes, outputs, times, codes=outputs, added=True, note=note)


def _neighbors_then(
    sizes: Sizes,
    columns: int,
    latency_ms: Callable[[int, int, int, Device], float],
    *,
    codes: int,
    added: bool = False,
    note: str,
) -> Plan:
    """A search, then `columns` numbers a query, counted or `added`; `codes` are kept a sample."""
    (search,) = _neighbors(sizes).stages
    Q, N, D, K = (search.axes[axis] for axis in "QNDK")
    cost = Cost(Q * K * columns, Q * K * 16, 8 * Q * columns)
    # Distances and indices are held throughout; labels or weights, and where they are counted or
    # added: torch keeps two more numbers of a sum, on a CPU one and one of each neighbour. All
    # numbers have 64 bits.
    numbers = N * codes + Q * K * 4 + Q * (columns + 2 * added)
    held_bytes = (N + Q) * D * sizes.itemsize + 8 * numbers
    predict = Stage(
        "predict",
        cost=cost,
        held_bytes=held_bytes,
        cpu_bytes=8 * added * Q * (K - 1),
        latency_ms=lambda device: latency_ms(Q, K, columns, device),
        note=note,
    )
    return Plan((search, predict), None)


def _projected(N: int, D: int, K: int, sizes: Sizes) -> Stage:
    out_bytes = max(4, sizes.itemsize) * N * K
    return Stage(
        "transform",
        cost=Cost(2 * N * D * K, (N + K) * D * sizes.itemsize, out_bytes),
        held_bytes=N * D * sizes.itemsize + out_bytes,
        latency_ms=sizes.if_float32(lambda device: stage_times.projection_ms(N, D, K, device)),
        note="one trip over the samples",
    )


def _pca(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    K = sizes.up_to("n_components", min(N, D), min(N, D))
    fit = Stage("fit", "truncated_svd", {"N": N, "D": D, "K": K}, {"center": True})
    return Plan((fit, _projected(N, D, K, sizes)), K)


def _truncated_svd(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    K = sizes.up_to("n_components", D, 2)
    note = "as its Gram matrix; random directions do less or more, by n_iter"
    fit = Stage("fit", "truncated_svd", {"N": N, "D": D, "K": K}, {"center": False}, note=note)
    return Plan((fit, _projected(N, D, K, sizes)), K)


def _incremental_pca(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    rows = min(N, sizes.get("batch_size", 5 * D))
    K = sizes.up_to("n_components", min(rows, D), min(rows, D))
    # A batch is decomposed together with the directions that stand for those before.
    axes = {"N": rows + K + 1, "D": D, "K": K}
    times = -(-N // max(1, rows))
    fit = Stage("fit", "truncated_svd", axes, times=times, dtype="float64", note="batch by batch")
    return Plan((fit, _projected(N, D, K, sizes)), K)


def _tsne(sizes: Sizes) -> Plan:
    (N, D), K = sizes.samples, sizes.get("n_components", 2)
    start = Stage("start", "truncated_svd", {"N": N, "D": D, "K": K}, {"center": True})
    options = {"max_iter": sizes.get("max_iter", 1000), "perplexity": sizes["perplexity"]}
    descent = Stage("fit", "tsne", {"N": N, "D": D}, {**options, "n_components": K})
    return Plan((start, descent), K)


def _multinomial_nb(sizes: Sizes) -> Plan:
    N, D = sizes.samples
    C = sizes.up_to("n_classes", N)
    Q = sizes.get("n_queries", N)
    samples_bytes = N * D * sizes.itemsize
    codes_bytes = 8 * N
    counts = Stage("fit", "multinomial_nb", {"N": N, "D": D, "C": C}, held_bytes=codes_bytes)
    model = Stage(
        "model",
        cost=Cost(2 * C * D, 8 * C * D, 8 * C * D),
        # Sums before and after, and a copy of these whose finite ones are told.
        held_bytes=samples_bytes + 2 * codes_bytes + 26 * C * D,
        latency_ms=lambda device: stage_times.model_ms(D, C, device),
        note="logarithms of the counts; checks and labels",
    )
    tiles = -(-C // score_classes(C))
    halves = 4 * tiles * score_classes(C) * D

    def scores_ms(device: Device) -> float:
        return stage_times.likeliest_class_ms(Q, D, C, sizes.itemsize, device)

    predict = Stage(
        "predict",
        # Classes are decisions, which are certified whatever multiplies.
        cost=Cost(2 * Q * D * C, Q * D * sizes.itemsize + 8 * C * D, 8 * Q, product="float16"),
        held_bytes=Q * (D * sizes.itemsize + 12 * tiles + 16) + halves + 16 * C * D,
        latency_ms=scores_ms if sizes.dtype in KERNEL_DTYPES else None,
        note="one trip over the queries",
    )
    return Plan((counts, model, predict), None)


# The names for a type checker, which reads no table.
EstimatorName = Literal[
    "HDBSCAN",
    "IncrementalPCA",
    "KMeans",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "MiniBatchKMeans",
    "MultinomialNB",
    "NearestNeighbors",
    "PCA",
    "TSNE",
    "TruncatedSVD",
]
_PLANS: Mapping[EstimatorName, Callable[[Sizes], Plan]] = {
    "HDBSCAN": _hdbscan,
    "IncrementalPCA": _incremental_pca,
    "KMeans": _kmeans,
    "KNeighborsClassifier": _neighbors_vote,
    "KNeighborsRegressor": _neighbors_mean,
    "MiniBatchKMeans": _mini_batch_kmeans,
    "MultinomialNB": _multinomial_nb,
    "NearestNeighbors": _neighbors,
    "PCA": _pca,
    "TSNE": _tsne,
    "TruncatedSVD": _truncated_svd,
}
ESTIMATORS: tuple[str, ...] = tuple(_PLANS)


def dtype_taken(estimator: str, dtype: str) -> str:
    """In which dtype an estimator reads samples of `dtype`: integers become float64, or stay.

    >>> dtype_taken("KMeans", "int32"), dtype_taken("MultinomialNB", "int32")
    ('float64', 'int32')
    """
    stays = "float" in dtype or estimator.lower() == "multinomialnb"
    return dtype if stays else "float64"


def plan_of(estimator: str, sizes: Sizes) -> Plan:
    """Stages of an estimator of scikit-learn's name, in any case.

    >>> plan = plan_of("PCA", Sizes("PCA", {"n_samples": 9, "n_features": 4}, "float32"))
    >>> [stage.does for stage in plan.stages], plan.features
    (['fit', 'transform'], 4)
    """
    for name, plan in _PLANS.items():
        if name.lower() == estimator.lower():
            return plan(sizes)
    expected = f"one of {list(_PLANS)}"
    others = "Steps of other libraries have no figures: leave them out."
    way_out = did_you_mean(estimator, _PLANS) or others
    raise ArgumentError(
        complaint("estimator", expected=expected, got=repr(estimator), way_out=way_out)
    )

"""Problems on which kneighbors is tested and measured."""

from onetrip.core.workload import Workload

_SMOKE = frozenset({"smoke", "cpu"})
_CPU = frozenset({"cpu"})
_BENCH = frozenset({"bench"})

WORKLOADS = (
    Workload(
        "ragged",
        {"Q": 13, "N": 67, "D": 21, "K": 5},
        "float32",
        _SMOKE,
        why="full and ragged tiles on every axis of the smallest tiles",
        options={"n_neighbors": 5},
    ),
    Workload(
        "offset",
        {"Q": 9, "N": 60, "D": 8, "K": 3},
        "float32",
        _CPU,
        why="norms are 280 and distances 1: scores that are not centred lose every digit",
        options={"n_neighbors": 3, "metric": "sqeuclidean"},
        data="offset",
    ),
    Workload(
        "duplicated",
        {"Q": 9, "N": 60, "D": 12, "K": 7},
        "float32",
        _CPU,
        why="every distance is there three times: ties go to the smallest index",
        options={"n_neighbors": 7},
        data="duplicated",
    ),
    Workload(
        "self",
        {"Q": 36, "N": 36, "D": 10, "K": 4},
        "float32",
        _CPU,
        why="the corpus asks, and nobody is their own neighbour",
        options={"n_neighbors": 4, "exclude_self": True},
        data="self",
    ),
    Workload(
        "cosine",
        {"Q": 9, "N": 40, "D": 24, "K": 4},
        "float32",
        _CPU,
        why="rows are scaled to length 1 on the way",
        options={"n_neighbors": 4, "metric": "cosine"},
    ),
    Workload(
        "inner-product",
        {"Q": 9, "N": 40, "D": 24, "K": 4},
        "float32",
        _CPU,
        why="the largest come first",
        options={"n_neighbors": 4, "metric": "inner_product"},
    ),
    Workload(
        "half",
        {"Q": 9, "N": 40, "D": 40, "K": 4},
        "float16",
        _CPU,
        why="half precision is data, not the arithmetic",
        options={"n_neighbors": 4},
    ),
    Workload(
        "square",
        {"Q": 100_000, "N": 100_000, "D": 128, "K": 10},
        "float32",
        _BENCH,
        why="a neighbour graph of 100k samples: as much selection as product",
        options={"n_neighbors": 10},
    ),
    Workload(
        "wide",
        {"Q": 10_000, "N": 1_000_000, "D": 128, "K": 10},
        "float32",
        _BENCH,
        why="a batch of queries against a million embeddings",
        options={"n_neighbors": 10},
    ),
    Workload(
        "one-query",
        {"Q": 1, "N": 10_000_000, "D": 128, "K": 10},
        "float32",
        _BENCH,
        why="one query reads the corpus once: bandwidth",
        options={"n_neighbors": 10},
    ),
    Workload(
        "many-neighbors",
        {"Q": 100_000, "N": 100_000, "D": 128, "K": 64},
        "float32",
        _BENCH,
        why="lists of 64: selection is most of the work",
        options={"n_neighbors": 64},
    ),
)

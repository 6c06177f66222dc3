"""Problems on which truncated_svd is tested and measured."""

from onetrip.core.workload import Workload

_SMOKE = frozenset({"smoke", "cpu"})
_CPU = frozenset({"cpu"})
_BENCH = frozenset({"bench"})

WORKLOADS = (
    Workload(
        "tall",
        {"N": 75, "D": 20, "K": 4},
        "float32",
        _SMOKE,
        why="more samples than features: the Gram matrix of features",
        options={"n_components": 4},
    ),
    Workload(
        "wide",
        {"N": 18, "D": 70, "K": 5},
        "float32",
        _SMOKE,
        why="fewer samples than features: the Gram matrix of samples, vectors in a second trip",
        options={"n_components": 5},
    ),
    Workload(
        "centred",
        {"N": 67, "D": 21, "K": 3},
        "float32",
        _SMOKE,
        why="a mean a hundred times the spread, which squares would drown",
        options={"n_components": 3, "center": True},
        data="offset",
    ),
    Workload(
        "half",
        {"N": 64, "D": 24, "K": 3},
        "float16",
        _CPU,
        why="half precision in, float32 out",
        options={"n_components": 3, "center": True},
    ),
    Workload(
        "randomized",
        {"N": 60, "D": 16, "K": 4},
        "float32",
        _CPU,
        why="random directions, power iterations, and the Gram matrix never formed",
        options={"n_components": 4, "solver": "randomized", "n_oversamples": 12},
    ),
    Workload(
        "steep",
        {"N": 70, "D": 12, "K": 12},
        "float32",
        _CPU,
        why="singular values over six decades: the Gram matrix alone loses half the digits",
        options={"n_components": 12},
        data="steep",
    ),
    Workload(
        "wide-double",
        {"N": 14, "D": 40, "K": 3},
        "float64",
        _CPU,
        why="float64 tiles are the caller's own memory, which centring must leave alone",
        options={"n_components": 3, "center": True},
    ),
    Workload(
        "million",
        {"N": 1_000_000, "D": 256, "K": 32},
        "float32",
        _BENCH,
        why="many samples: bandwidth against float64 products",
        options={"n_components": 32, "center": True},
    ),
    Workload(
        "thousand-features",
        {"N": 500_000, "D": 1024, "K": 64},
        "float32",
        _BENCH,
        why="a Gram matrix large enough for its eigenvectors to count",
        options={"n_components": 64},
    ),
)

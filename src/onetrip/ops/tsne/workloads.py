"""Problems on which tsne is tested and measured."""

from onetrip.core.workload import BENCH, CPU, SMOKE, Workload

WORKLOADS = (
    Workload(
        "plane",
        {"N": 20, "D": 3},
        "float32",
        SMOKE,
        why="two dimensions, one ragged tile, both phases of the schedule",
        options={"perplexity": 5.0, "max_iter": 4, "exploration_iter": 2},
    ),
    Workload(
        "space",
        {"N": 24, "D": 3},
        "float32",
        CPU,
        why="three dimensions: two degrees of freedom in Student's distribution",
        options={"perplexity": 5.0, "max_iter": 4, "exploration_iter": 2, "n_components": 3},
    ),
    Workload(
        "recomputed",
        {"N": 35, "D": 4},
        "float32",
        CPU,
        why="two tiles, no memory for affinities: they are recomputed from x in every iteration",
        options={
            "perplexity": 6.0,
            "max_iter": 2,
            "exploration_iter": 1,
            "memory_budget": 1,
        },
        data="offset",
    ),
    Workload(
        "half",
        {"N": 24, "D": 4},
        "float16",
        CPU,
        why="half precision in, float32 out",
        options={"perplexity": 5.0, "max_iter": 3},
    ),
    Workload(
        "20k",
        {"N": 20_000, "D": 128},
        "float32",
        BENCH,
        why="the largest that a dense implementation fits comfortably: 1.6 GB a matrix",
        options={"max_iter": 500},
    ),
    Workload(
        "100k",
        {"N": 100_000, "D": 50},
        "float32",
        BENCH,
        why="no [N, N] matrix fits: 40 GB",
        options={"max_iter": 500},
    ),
)

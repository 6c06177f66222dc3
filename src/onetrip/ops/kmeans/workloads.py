"""Problems on which k-means is tested and measured."""

from onetrip.core.workload import BENCH, CPU, SMOKE, Workload

WORKLOADS = (
    Workload(
        "ragged",
        {"N": 131, "D": 5, "K": 7},
        "float32",
        SMOKE,
        why="one full and one ragged tile on every axis; few clusters, found in columns",
        options={"max_iter": 20},
    ),
    Workload(
        "poor-start",
        {"N": 150, "D": 3, "K": 40},
        "float32",
        SMOKE,
        why="clusters that still move at the end; enough of them to be searched along rows",
        options={"max_iter": 3, "tol": 0.0},
        data="poor-start",
    ),
    Workload(
        "weighted",
        {"N": 97, "D": 17, "K": 6},
        "float32",
        CPU,
        why="weights in sums, averages and inertia; an early stop by tolerance",
        options={"max_iter": 20, "tol": 0.05},
        optional_inputs=("sample_weight",),
        data="poor-start",
    ),
    Workload(
        "offset",
        {"N": 120, "D": 8, "K": 9},
        "float32",
        CPU,
        why="a common offset of 100, which scores without centring do not survive",
        options={"max_iter": 10},
        data="offset",
    ),
    Workload(
        "cosine",
        {"N": 90, "D": 12, "K": 5},
        "float32",
        CPU,
        why="rows and centres of unit length",
        options={"max_iter": 8, "metric": "cosine"},
        data="noise",
    ),
    Workload(
        "half",
        {"N": 100, "D": 16, "K": 6},
        "float16",
        CPU,
        why="half precision input, centres in float32",
        options={"max_iter": 10},
    ),
    Workload(
        "labels-only",
        {"N": 60, "D": 4, "K": 3},
        "float32",
        CPU,
        why="no iteration: the labels and the inertia of given centres, as predict and score ask",
        options={"max_iter": 0},
    ),
    *(
        Workload(
            f"vectors-{name}",
            {"N": N, "D": D, "K": K},
            "float32",
            BENCH,
            why=why,
            options={"max_iter": 20, "tol": 0.0},
            data="noise",
        )
        for name, N, D, K, why in (
            ("1m-128", 1_000_000, 128, 1024, "an inverted file over embeddings; the issue's first"),
            ("500k-256", 500_000, 256, 8192, "a large codebook: compute alone counts"),
            ("1m-64", 1_000_000, 64, 256, "the same order of work in products and in bytes"),
            ("4m-32", 4_000_000, 32, 100, "small clusters of many rows: bandwidth counts"),
        )
    ),
)

"""Problems on which hdbscan is tested and measured."""

from onetrip.core.workload import BENCH, CPU, SMOKE, Workload

WORKLOADS = (
    Workload(
        "plane",
        {"N": 40, "D": 2},
        "float32",
        SMOKE,
        why="few features: differences, and boxes that prune",
        options={"min_samples": 4},
    ),
    Workload(
        "space",
        {"N": 40, "D": 7},
        "float32",
        SMOKE,
        why="many features: products with a bound of their error",
        options={"min_samples": 3, "alpha": 1.25},
        data="blobs",
    ),
    Workload(
        "half",
        {"N": 45, "D": 3},
        "float16",
        CPU,
        why="half precision in, float32 weights out",
        options={"min_samples": 5},
        data="blobs",
    ),
    Workload(
        "offset",
        {"N": 40, "D": 7},
        "float64",
        CPU,
        why="far from the origin, where products without a bound lose every digit",
        options={"min_samples": 2},
        data="offset",
    ),
    Workload(
        "50k-32",
        {"N": 50_000, "D": 32},
        "float32",
        BENCH,
        why="a bar of the issue: FlashLib takes 55 ms and 9.8 GB on an H100",
        options={"min_samples": 5},
        data="blobs",
    ),
    Workload(
        "100k-16",
        {"N": 100_000, "D": 16},
        "float32",
        BENCH,
        why="a bar of the issue: FlashLib takes 212 ms and 38 GB on an H100",
        options={"min_samples": 5},
        data="blobs",
    ),
    Workload(
        "1M-16",
        {"N": 1_000_000, "D": 16},
        "float32",
        BENCH,
        why="N × N would be 4 TB",
        options={"min_samples": 5},
        data="blobs",
    ),
)

"""Problems on which scaled_relu is tested and measured."""

from onetrip.core.workload import BENCH, CPU, SMOKE, Workload

WORKLOADS = (
    Workload(
        "ragged",
        {"N": 19, "D": 131},
        "float32",
        SMOKE,
        why="one full and one ragged tile on every axis of the smallest tiles",
    ),
    Workload(
        "negative",
        {"N": 8, "D": 40},
        "float32",
        SMOKE,
        why="a negative scale turns around which elements pass",
        options={"scale": -0.5},
    ),
    Workload(
        "half",
        {"N": 16, "D": 64},
        "float16",
        CPU,
        why="the product is rounded to half precision",
        options={"scale": 3.0},
    ),
    Workload(
        "hidden-states",
        {"N": 16384, "D": 4096},
        "bfloat16",
        BENCH,
        why="hidden states of an 8B model, 16,384 tokens: far larger than any cache",
        options={"scale": 0.5},
    ),
)

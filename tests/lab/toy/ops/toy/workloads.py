"""Problems of the toy."""

from onetrip.core.workload import Workload

WORKLOADS = (
    Workload("small", {"N": 64, "D": 16}, "float32", frozenset({"smoke", "cpu"}), why="seconds"),
    Workload("large", {"N": 1 << 16, "D": 256}, "float32", frozenset(), why="64 MiB a tensor"),
    Workload("other", {"N": 48, "D": 16}, "float32", frozenset({"cpu"}), why="another problem"),
)

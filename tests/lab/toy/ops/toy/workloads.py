"""Problems of the toy."""

from onetrip.core.workload import Workload

WORKLOADS = (
    Workload("small", {"N": 64, "D": 16}, "float32", frozenset({"smoke", "cpu"}), why="seconds"),
    Workload("other", {"N": 48, "D": 16}, "float32", frozenset({"cpu"}), why="another problem"),
)

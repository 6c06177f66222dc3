"""How much is done for one candidate: rows with a float64 truth, samples, seconds."""

from collections.abc import Sequence
from dataclasses import replace

from onetrip.core.cost import count_cost
from onetrip.core.device import Device
from onetrip.core.operators import operator_module
from onetrip.core.selection import Problem

# Float64 truth and plain torch of one candidate may take about this long.
TRUTH_SECONDS = 1.5
# In float64 autograd keeps more copies than the reference's workspace counts, and inputs and
# gradients are wide too.
_TRUTH_SHARE = 0.25
# Fewer rows than this prove little.
_FEWEST_ROWS = 32
# Truth takes a float64 product and plain torch one in the working dtype, at half the cost or less.
_TRUTH_AND_EAGER = 1.5

# A search compares many with few samples; what it finds is confirmed with many.
SEARCH_WARMUP, SEARCH_SAMPLES = 2, 12
CONFIRM_WARMUP, CONFIRM_SAMPLES = 3, 30
# So much longer takes a confirmation than a trial of the search.
CONFIRM_FACTOR = 2.5

# Before anything is known of a machine, and at most.
_LONGEST_LIMIT_S = 180.0
_SHORTEST_LIMIT_S = 20.0
# A candidate so many times slower than the slowest right one is of no use.
_LIMIT_FACTOR = 3.0


def limit_s(taken_s: Sequence[float], purpose: str) -> float:
    """Seconds after which a candidate is killed, told by what those that were timed took.

    >>> limit_s([], "search"), limit_s([9.0, 10.0], "search"), limit_s([10.0], "confirm")
    (180.0, 30.0, 75.0)
    """
    if not taken_s:
        return _LONGEST_LIMIT_S
    factor = _LIMIT_FACTOR * (CONFIRM_FACTOR if purpose == "confirm" else 1.0)
    return min(max(factor * max(taken_s), _SHORTEST_LIMIT_S), _LONGEST_LIMIT_S)


def truth_rows(
    operator: str, problem: Problem, device: Device, *, backward: bool, memory_bytes: int | None
) -> int | None:
    """Rows for which float64 truth is affordable; None when all are.

    Rows are the operator's first axis, along which its problems can be cut.
    """
    letter = next(iter(problem.axes))
    rows = problem.axes[letter]
    cost = count_cost(
        operator_module(operator, "cost").estimate_cost,
        problem.axes,
        dtype="float64",
        backward=backward,
        options=problem.options,
    )
    seconds = cost.flops * _TRUTH_AND_EAGER / (device.tflops_for("float64") * 1e12)
    affordable = rows
    if seconds > TRUTH_SECONDS:
        affordable = max(int(rows * TRUTH_SECONDS / seconds), _FEWEST_ROWS)
    while affordable > _FEWEST_ROWS and not _fits(
        operator, problem, {letter: affordable}, memory_bytes
    ):
        affordable //= 2
    return None if affordable >= rows else affordable


def eager_fits(operator: str, problem: Problem, memory_bytes: int | None) -> bool:
    """Whether plain torch has room for the whole problem."""
    return memory_bytes is None or _reference_bytes(operator, problem) <= memory_bytes


def seconds_each(budget_s: float, purpose: str) -> float:
    """Seconds of timing for each contender of a candidate.

    >>> seconds_each(120.0, "search"), seconds_each(120.0, "confirm")
    (1.5, 6.0)
    """
    if purpose == "confirm":
        return min(max(budget_s / 20, 1.0), 20.0)
    return min(max(budget_s / 80, 0.25), 5.0)


def _fits(operator: str, problem: Problem, axes: dict[str, int], memory_bytes: int | None) -> bool:
    if memory_bytes is None:
        return True
    part = replace(problem, axes={**problem.axes, **axes}, dtype="float64")
    return _reference_bytes(operator, part) <= memory_bytes * _TRUTH_SHARE


def _reference_bytes(operator: str, problem: Problem) -> int:
    select = operator_module(operator, "select")
    config = select.default_config("reference", problem)
    return select.workspace_bytes("reference", problem, config)

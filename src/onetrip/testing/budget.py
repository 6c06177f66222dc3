"""The error budget: no farther from float64 truth than plain torch is, and a few units more."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.spec import ErrorBudget

# Elements compared at a time: bounds the float64 copies to a few times 64 MB.
_CHUNK = 1 << 23


class BudgetExceededError(AssertionError):
    """A result is farther from the truth than its budget allows."""


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """How far one tensor is from the truth.

    `max_error` is the largest ``|actual - gold|`` (infinite where `actual` is NaN and `gold` is
    not), `allowance` what the budget grants, `worst_index` where the largest error sits and
    `actual_value`, `eager_value`, `gold_value` what stands there. `relative_error` and
    `eager_relative_error` are the Frobenius norm of the error over that of `gold`. `mismatch`
    says what is wrong with the tensor as a whole (shape, dtype), if anything.
    """

    name: str
    elements: int
    outside: int
    max_error: float
    eager_max_error: float
    allowance: float
    relative_error: float
    eager_relative_error: float
    worst_index: tuple[int, ...]
    actual_value: float
    eager_value: float
    gold_value: float
    mismatch: str = ""

    @property
    def within(self) -> bool:
        """Whether every element is within the budget."""
        return not self.mismatch and self.outside == 0

    def __str__(self) -> str:
        if self.mismatch:
            return f"`{self.name}` {self.mismatch}"
        if self.within:
            return (
                f"`{self.name}` is within its budget: error {self.max_error:.3g} of "
                f"{self.allowance:.3g} allowed (plain torch {self.eager_max_error:.3g})"
            )
        return (
            f"`{self.name}` exceeds its budget at {self.outside} of {self.elements} elements: "
            f"error {self.max_error:.3g}, allowed {self.allowance:.3g} "
            f"(plain torch {self.eager_max_error:.3g}). Worst at {list(self.worst_index)}: "
            f"actual {self.actual_value:.9g}, eager {self.eager_value:.9g}, "
            f"gold {self.gold_value:.9g}"
        )


def assert_within_budget(
    name: str,
    actual: Tensor,
    eager: Tensor,
    gold: Tensor,
    budget: ErrorBudget,
    dtype: str,
    eager_error: float = 0.0,
) -> BudgetReport:
    """Fail unless ``|actual - gold| <= factor · max|eager - gold| + floor[dtype] · max|gold|``.

    Parameters
    ----------
    name : what the message calls the tensor.
    actual : Tensor of any shape, the result on trial; must have dtype `dtype`.
    eager : Tensor of the same shape, the reference in the working dtype.
    gold : Tensor of the same shape, the reference in float64.
    budget : factor and floors, from the operator's spec.
    dtype : the dtype that `actual` must have, "float32" for one; integers must be exact.
    eager_error : largest error of the reference on other inputs of the kind, where the one on these
        few elements is luck.

    Returns
    -------
    BudgetReport
        The numbers, of a tensor that is within its budget.

    Raises
    ------
    BudgetExceededError
        An `AssertionError` that names the tensor, how many elements are outside, the worst
        index and all three values. NaN, where `gold` is not NaN, is outside, and so is a wrong
        shape or dtype.

    Examples
    --------
    >>> gold = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> budget = ErrorBudget(1.0, "an example")
    >>> assert_within_budget("y", gold.float(), gold.float(), gold, budget, "float32").max_error
    0.0
    """
    report = budget_report(name, actual, eager, gold, budget, dtype, eager_error)
    if not report.within:
        raise BudgetExceededError(str(report))
    return report


def budget_report(
    name: str,
    actual: Tensor,
    eager: Tensor,
    gold: Tensor,
    budget: ErrorBudget,
    dtype: str,
    eager_error: float = 0.0,
) -> BudgetReport:
    """Measure what `assert_within_budget` asserts, and fail nothing.

    Errors of `eager` count only where `eager` is finite: a reference that overflows in its
    working dtype excuses nobody. Works on any device, chunk by chunk.

    Examples
    --------
    >>> gold = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> report = budget_report(
    ...     "y", torch.tensor([1.0, 3.0]), gold.float(), gold, ErrorBudget(1.0, "an example"),
    ...     "float32")
    >>> report.within, report.outside, report.worst_index
    (False, 1, (1,))
    """
    if eager.shape != gold.shape:
        expected = f"of the shape of `gold`, {list(gold.shape)}"
        raise ArgumentError(complaint("eager", expected=expected, got=list(eager.shape)))
    mismatch = _mismatch(actual, gold, dtype)
    if mismatch:
        return _whole_tensor_is_wrong(name, actual, mismatch)
    flat_actual, flat_eager, flat_gold = (
        tensor.detach().reshape(-1) for tensor in (actual, eager, gold)
    )
    if gold.numel() == 0:
        nothing = math.nan
        return BudgetReport(name, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, (), nothing, nothing, nothing)
    sums = _Sums(gold.device)
    for begin in range(0, gold.numel(), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        sums.add(begin, flat_actual[part], flat_eager[part], flat_gold[part])
    worst_flat = int(sums.worst_at)
    max_error = float(sums.max_error)
    eager_max_error = max(float(sums.eager_max_error), eager_error)
    exact = not actual.is_floating_point()
    floor = 0.0 if exact else budget.floor[dtype]
    factor = 0.0 if exact else budget.factor
    allowance = factor * eager_max_error + floor * float(sums.max_gold)
    outside = 0
    if not max_error <= allowance:
        for begin in range(0, gold.numel(), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            errors = _errors(flat_actual[part], flat_gold[part])
            outside += int((errors > allowance).sum())
    gold_norm = math.sqrt(float(sums.gold_square))
    return BudgetReport(
        name=name,
        elements=gold.numel(),
        outside=outside,
        max_error=max_error,
        eager_max_error=eager_max_error,
        allowance=allowance,
        relative_error=_relative(float(sums.error_square), gold_norm),
        eager_relative_error=_relative(float(sums.eager_square), gold_norm),
        worst_index=_unravel(worst_flat, gold.shape),
        actual_value=float(flat_actual[worst_flat]),
        eager_value=float(flat_eager[worst_flat]),
        gold_value=float(flat_gold[worst_flat]),
    )


def dtype_name(dtype: torch.dtype) -> str:
    """Short name of a torch dtype.

    >>> dtype_name(torch.bfloat16)
    'bfloat16'
    """
    return str(dtype).removeprefix("torch.")


class _Sums:
    """Running maxima and sums, kept on the device: one transfer at the end, none per chunk."""

    def __init__(self, device: torch.device) -> None:
        zero = torch.zeros((), dtype=torch.float64, device=device)
        self.max_error = zero - 1.0
        self.worst_at = torch.zeros((), dtype=torch.int64, device=device)
        self.eager_max_error = self.max_gold = zero
        self.error_square = self.eager_square = self.gold_square = zero

    def add(self, begin: int, actual: Tensor, eager: Tensor, gold: Tensor) -> None:
        errors = _errors(actual, gold)
        largest, at = errors.max(dim=0)
        self.worst_at = torch.where(largest > self.max_error, at + begin, self.worst_at)
        self.max_error = torch.maximum(self.max_error, largest)
        self.error_square = self.error_square + errors.square().sum()
        del errors
        eager_errors = _errors(eager, gold).nan_to_num_(posinf=0.0)
        self.eager_max_error = torch.maximum(self.eager_max_error, eager_errors.max())
        self.eager_square = self.eager_square + eager_errors.square().sum()
        size = gold.double().abs().nan_to_num_(nan=0.0, posinf=0.0)
        self.max_gold = torch.maximum(self.max_gold, size.max())
        self.gold_square = self.gold_square + size.square().sum()


def _errors(values: Tensor, gold: Tensor) -> Tensor:
    """``|values - gold|`` in float64: 0 where both are the same NaN or infinity, inf for one."""
    values = values.to(gold.device)
    if not gold.is_floating_point() and not values.is_floating_point():
        # Through a comparison: float64 does not tell all 64-bit integers apart.
        distance = (values.double() - gold.double()).abs()
        return torch.where(values == gold, 0.0, distance.clamp_min(1.0))
    wide, gold = values.double(), gold.double()
    same = (wide == gold) | (wide.isnan() & gold.isnan())
    return torch.where(same, 0.0, (wide - gold).abs().nan_to_num_(nan=math.inf, posinf=math.inf))


def _mismatch(actual: Tensor, gold: Tensor, dtype: str) -> str:
    if actual.shape != gold.shape:
        return f"has shape {list(actual.shape)}, expected {list(gold.shape)}"
    if dtype_name(actual.dtype) != dtype:
        return f"has dtype {dtype_name(actual.dtype)}, expected {dtype}"
    if actual.is_complex() or gold.is_complex():
        return "is complex, which no budget covers"
    return ""


def _whole_tensor_is_wrong(name: str, actual: Tensor, mismatch: str) -> BudgetReport:
    inf, nan = math.inf, math.nan
    count = actual.numel()
    return BudgetReport(name, count, count, inf, 0.0, 0.0, inf, 0.0, (), nan, nan, nan, mismatch)


def _relative(error_square: float, gold_norm: float) -> float:
    if error_square == 0:
        return 0.0
    return math.sqrt(error_square) / gold_norm if gold_norm else math.inf


def _unravel(flat: int, shape: torch.Size) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        flat, place = divmod(flat, size)
        index.insert(0, place)
    return tuple(index)

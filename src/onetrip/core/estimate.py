"""What a problem costs before it runs: floor, bytes, workspace, latency, the choice and why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

from onetrip.core.cost import ITEMSIZE, Cost, count_cost
from onetrip.core.device import Device, find_device
from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.operators import load_spec, operator_module
from onetrip.core.selection import Choice, Problem
from onetrip.core.spec import OperatorSpec


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one implementation would take; `unsupported` says why it cannot run, if so."""

    impl: str
    latency_ms: float | None
    workspace_bytes: int | None
    unsupported: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Answer of `onetrip.estimate`.

    `floor_ms` is the larger of `compute_ms` and `memory_ms`: no implementation runs faster.
    `bound` names the larger. `choice` is what ``impl="auto"`` would run.
    """

    operator: str
    device: Device
    dtype: str
    axes: dict[str, int]
    backward: bool
    cost: Cost
    compute_ms: float
    memory_ms: float
    floor_ms: float
    bound: str
    predictions: tuple[Prediction, ...]
    choice: Choice
    input_bytes: int

    @property
    def has_floor_only(self) -> bool:
        """Whether no result backs the predictions: on a CPU none is held to any."""
        return self.choice.has_floor_only or self.device.kind == "cpu"

    @property
    def peak_bytes(self) -> int | None:
        """Inputs, outputs and gradients, and the workspace of what would run; None if unknown."""
        for prediction in self.predictions:
            if prediction.impl == self.choice.impl and prediction.workspace_bytes is not None:
                return self.input_bytes + self.cost.bytes_written + prediction.workspace_bytes
        return None


def estimate(
    operator: str,
    *,
    device: str | Device = "h100",
    dtype: str | None = None,
    backward: bool = True,
    options: dict[str, object] | None = None,
    **axes: int,
) -> Estimate:
    """What `onetrip.estimate` answers of one operator; parameters and errors are told there.

    >>> estimate("linear_cross_entropy", N=8192, D=2304, V=256000).bound
    'compute'
    """
    spec = load_spec(operator)
    dtype = dtype or default_dtype(operator)
    letters = {word: letter for letter, word in spec.words.items()}
    axes = whole_sizes(axes)
    axes = {letters.get(name, name): size for name, size in axes.items()}
    if axes.keys() != spec.axes.keys():
        words = [spec.words.get(letter, letter) for letter in spec.axes]
        expected = f"exactly the sizes {words} of {operator}"
        raise ArgumentError(complaint("axes", expected=expected, got=sorted(axes)))
    found = device if isinstance(device, Device) else find_device(device)
    select = operator_module(operator, "select")
    problem = Problem(
        axes=axes,
        dtype=dtype,
        device_kind="cpu" if found.kind == "cpu" else "cuda",
        arch=found.arch,
        hip=found.kind == "hip",
        device_name=found.name,
        options=options or {},
    )
    cost = count_cost(
        operator_module(operator, "cost").estimate_cost,
        axes,
        dtype=dtype,
        backward=backward,
        options=problem.options,
    )
    # A bound holds for rare ways too; where an operator knows what is usual, that is told.
    expected_bytes = getattr(select, "expected_bytes", None)
    predictions = []
    for impl in spec.implementations:
        reason = select.unsupported_reason(impl, problem)
        if reason is not None:
            predictions.append(Prediction(impl, None, None, reason))
            continue
        config = select.default_config(impl, problem)
        if expected_bytes is None:
            workspace_bytes = select.workspace_bytes(impl, problem, config)
        else:
            workspace_bytes = expected_bytes(impl, problem, config, backward)
        predictions.append(
            Prediction(
                impl,
                select.predict_ms(impl, problem, found, config, backward),
                workspace_bytes,
                None,
            )
        )
    return Estimate(
        operator=operator,
        device=found,
        dtype=dtype,
        axes=axes,
        backward=backward,
        cost=cost,
        compute_ms=cost.compute_ms(found, dtype),
        memory_ms=cost.memory_ms(found),
        floor_ms=cost.floor_ms(found, dtype),
        bound=cost.bound(found, dtype),
        predictions=tuple(predictions),
        choice=select.choose(problem),
        input_bytes=_input_bytes(spec, axes, dtype),
    )


def default_dtype(operator: str) -> str:
    """In which dtype an operator's samples, or a layer's activations, usually are.

    >>> default_dtype("kmeans"), default_dtype("linear_cross_entropy")
    ('float32', 'bfloat16')
    """
    return "float32" if load_spec(operator).estimators else "bfloat16"


def _input_bytes(spec: OperatorSpec, axes: dict[str, int], dtype: str) -> int:
    """Bytes of all inputs that callers must pass, those of several dtypes in `dtype`."""
    return sum(
        math.prod(axes[letter] for letter in tensor.axes)
        * ITEMSIZE[dtype if dtype in tensor.dtypes else tensor.dtypes[0]]
        for tensor in spec.inputs
        if not tensor.optional
    )


def whole_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes as Python's integers, which NumPy's are not.

    >>> whole_sizes({"N": 3})
    {'N': 3}

    Raises
    ------
    ArgumentError
        Not an integer, or negative; the message names the size.
    """
    whole = {}
    for name, size in sizes.items():
        # Python's own first: an abstract class takes a microsecond to ask.
        is_whole = type(size) is int or (isinstance(size, Integral) and not isinstance(size, bool))
        if not is_whole or size < 0:
            raise ArgumentError(complaint(name, expected="an integer >= 0", got=repr(size)))
        whole[name] = int(size)
    return whole

"""What a contract speaks of: an operator with all its parts, and one case of it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

import onetrip
from onetrip.core.cost import Cost
from onetrip.core.operators import load_spec, load_workloads, operator_module
from onetrip.core.selection import Config, Problem
from onetrip.core.spec import OperatorSpec
from onetrip.core.workload import Workload
from onetrip.tile.problem import problem_on

Call = Callable[..., "Tensor | tuple[Tensor, dict[str, Tensor]]"]


@dataclass(frozen=True, slots=True)
class Operator:
    """The parts of an operator's folder, under the names that they have there.

    `run` is the public function, `select` the module that answers `core.selection`'s questions.
    `stands_at` holds, of each output of places that may nearly tie, the function of the places and
    the reference's arguments that says what stands there: by that it is judged.
    """

    spec: OperatorSpec
    workloads: tuple[Workload, ...]
    run: Call
    reference: Call
    make_inputs: Callable[..., dict[str, Tensor]]
    estimate_cost: Callable[..., Cost]
    select: Any
    stands_at: Mapping[str, Callable[..., Tensor]] = field(default_factory=dict)


def load_operator(name: str) -> Operator:
    """Load the operator's folder.

    >>> load_operator("linear_cross_entropy").spec.name
    'linear_cross_entropy'
    """
    reference = operator_module(name, "reference")
    return Operator(
        spec=load_spec(name),
        workloads=load_workloads(name),
        run=getattr(onetrip, name),
        reference=getattr(reference, f"{name}_reference"),
        make_inputs=reference.make_inputs,
        estimate_cost=operator_module(name, "cost").estimate_cost,
        select=operator_module(name, "select"),
        stands_at=getattr(reference, "STANDS_AT", {}),
    )


@dataclass(frozen=True, slots=True)
class Case:
    """One implementation of one operator on one workload, on one device."""

    operator: Operator
    impl: str
    workload: Workload
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the floating inputs."""
        return getattr(torch, self.workload.dtype)

    def resized(self, **axes: int) -> "Case":
        """The same case with other sizes."""
        sizes = dict(self.workload.axes) | axes
        return replace(self, workload=replace(self.workload, axes=sizes))

    def inputs(self, seed: int = 0) -> dict[str, Tensor]:
        """Fresh tensors for the public function."""
        return self.operator.make_inputs(
            self.workload.axes,
            dtype=self.dtype,
            device=self.device,
            seed=seed,
            data=self.workload.data,
            optional_inputs=self.workload.optional_inputs,
        )

    def differentiable(self, inputs: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Names of the inputs that have a gradient."""
        if not self.operator.spec.differentiable:
            return ()
        return tuple(
            tensor.name
            for tensor in self.operator.spec.inputs
            if tensor.grad and tensor.name in inputs
        )

    @property
    def run(self) -> Call:
        """The public function with this implementation and these options."""
        return functools.partial(self.operator.run, impl=self.impl, **self.workload.options)

    @property
    def reference(self) -> Call:
        """The definition with these options."""
        return functools.partial(self.operator.reference, **self.workload.options)

    @property
    def problem(self) -> Problem:
        """What `select.py` is asked about."""
        return problem_on(
            self.device, self.workload.axes, self.workload.dtype, self.workload.options
        )

    @property
    def interpreted(self) -> bool:
        """Whether a kernel runs without a device: in Triton's interpreter, step by step."""
        return self.impl not in ("reference", "torch") and self.device.type == "cpu"

    def unsupported_reason(self, config: Config | None = None) -> str | None:
        """Why this case cannot run here, or None."""
        return self.operator.select.unsupported_reason(self.impl, self.problem, config)


def cases(
    operator: Operator,
    *,
    device: str | torch.device,
    tag: str,
    dtypes: Sequence[str] | None,
    implementations: Sequence[str] | None,
) -> list[Case]:
    """Every implementation on every workload tagged `tag`, in each of `dtypes`."""
    found = []
    for impl in implementations or operator.spec.implementations:
        for workload in operator.workloads:
            if tag in workload.tags:
                found += [
                    Case(operator, impl, replace(workload, dtype=dtype), torch.device(device))
                    for dtype in dtypes or (workload.dtype,)
                ]
    return found

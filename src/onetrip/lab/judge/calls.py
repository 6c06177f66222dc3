"""One step of an operator, forward and backward, the same for every contender."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from onetrip.core import tuning
from onetrip.core.workload import Workload
from onetrip.lab.judge.job import Contender
from onetrip.testing.contract.evaluate import Forward, forward, random_grad_outputs
from onetrip.testing.contract.operator import Call, Case, load_operator

Tensors = Mapping[str, Tensor]
Step = Callable[[Tensors], dict[str, Tensor]]


def new_case(operator: str, workload: Workload, device: str) -> Case:
    """The problem as the contract suite sees it; each contender puts in its own `impl`."""
    return Case(load_operator(operator), "auto", workload, torch.device(device))


def pinned(case: Case, contender: Contender) -> Call:
    """The public function with one configuration, whatever the tuning tables say."""
    name = case.operator.spec.name
    run = replace(case, impl=contender.impl).run

    def call(**arguments: Tensor) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        with tuning.override(name, contender.impl, contender.config):
            return run(**arguments)

    return call


@dataclass(frozen=True, slots=True)
class Steps:
    """Makes steps of one problem, all with gradients of `wrt` that start at `grad_outputs`."""

    case: Case
    wrt: tuple[str, ...]
    grad_outputs: Tensors

    def of(self, call: Call) -> Step:
        """A step of one contender: tensors by name, a gradient as "gradient of x"."""

        def step(inputs: Tensors) -> dict[str, Tensor]:
            return self._backward(forward(self.case, call, inputs, self.wrt), inputs)

        return step

    def _backward(self, result: Forward, inputs: Tensors) -> dict[str, Tensor]:
        # Detached first: `backward` consumes the graph that the outputs belong to.
        results = {name: output.detach() for name, output in result.outputs.items()}
        for name, gradient in result.backward(self.grad_outputs).items():
            # None stands for zero: the outputs do not depend on this input.
            found = torch.zeros_like(inputs[name]) if gradient is None else gradient
            results[f"gradient of {name}"] = found
        return results


def first_step(
    case: Case, call: Call, inputs: Tensors, wrt: tuple[str, ...], seed: int
) -> tuple[Steps, dict[str, Tensor]]:
    """Take a step, with random incoming gradients for what it returns, and keep them for others."""
    result = forward(case, call, inputs, wrt)
    steps = Steps(case, wrt, random_grad_outputs(case, result, seed))
    return steps, steps._backward(result, inputs)

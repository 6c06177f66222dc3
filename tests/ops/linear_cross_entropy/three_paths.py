"""The three ways through linear cross entropy on a CPU, and how each is held against a truth."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

import onetrip
from onetrip.ops.linear_cross_entropy.spec import SPEC
from onetrip.testing.budget import assert_within_budget, dtype_name

# The torch implementation walks rows where it can: asking for a value sends it over the columns.
PATHS: Mapping[str, dict[str, Any]] = {
    "rows": {"impl": "torch"},
    "columns": {"impl": "torch", "aux": ("logprob",)},
    "triton": {"impl": "triton"},
}
GRADS = ("input", "linear_weight", "linear_bias", "token_weight")

Function = Callable[..., Any]


def draw(
    N: int = 37, D: int = 24, V: int = 150, *, seed: int = 0, bias: bool = True
) -> dict[str, Any]:
    """Tensors of one problem in float32; every seventh target is -100."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "input": torch.randn(N, D, generator=generator),
        "linear_weight": torch.randn(V, D, generator=generator) / math.sqrt(max(D, 1)) * 2,
        "target": torch.randint(0, V, (N,), generator=generator),
    }
    tensors["target"][::7] = -100
    if bias:
        tensors["linear_bias"] = torch.randn(V, generator=generator)
    return tensors


def on_path(path: str, **options: Any) -> Function:
    """The public function on one of the paths; returns the loss and a dict of values."""
    fixed = PATHS[path]
    asked = tuple(options.pop("aux", ()))

    def call(**tensors: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        aux = dict.fromkeys((*asked, *fixed.get("aux", ())))
        result: Any = onetrip.linear_cross_entropy(
            **tensors, **{**options, "impl": fixed["impl"], "aux": tuple(aux)}
        )
        loss, values = result if isinstance(result, tuple) else (result, {})
        return loss, {name: values[name] for name in asked}

    return call


@dataclass
class Evaluated:
    """Outputs by name and gradients by name, under the incoming gradients."""

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor | None]


def evaluate(
    call: Function, tensors: Mapping[str, Tensor], wrt: Sequence[str] | None = None
) -> Evaluated:
    """Forward and backward; incoming gradients are drawn from the outputs' places in order."""
    wrt = [name for name in GRADS if name in tensors] if wrt is None else wrt
    leaves = {name: tensors[name].detach().requires_grad_() for name in wrt}
    result = call(**{**tensors, **leaves})
    loss, values = result if isinstance(result, tuple) else (result, {})
    outputs = {"loss": loss, **values}
    generator = torch.Generator().manual_seed(99)
    grads = {}
    for name, output in outputs.items():
        # Whole eighths between 0.5 and 2, alike in every dtype.
        grad = torch.randint(4, 17, output.shape, generator=generator) / 8
        if output.requires_grad:
            grads[name] = grad.to(output.dtype)
    gradients: Sequence[Tensor | None] = [None] * len(leaves)
    if leaves:
        gradients = torch.autograd.grad(
            [outputs[name] for name in grads],
            list(leaves.values()),
            list(grads.values()),
            allow_unused=True,
        )
    return Evaluated(outputs, dict(zip(leaves, gradients, strict=True)))


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values in float64."""
    return {
        name: tensor.double() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def assert_like(
    actual: Evaluated,
    truth: Function,
    tensors: Mapping[str, Tensor],
    wrt: Sequence[str] | None = None,
    widen: float = 1.0,
) -> None:
    """Hold outputs and gradients against `truth` in float64, with the operator's budget.

    `widen` multiplies the budget's factor where the largest error of plain torch is chance.
    """
    budget = replace(SPEC.budget, factor=SPEC.budget.factor * widen)
    gold = evaluate(truth, widened(tensors), wrt)
    eager = evaluate(truth, tensors, wrt)
    assert actual.outputs.keys() == gold.outputs.keys()
    for name, value in gold.outputs.items():
        ours = actual.outputs[name]
        kind = "int64" if name == "argmax" else "float32"
        assert_within_budget(name, ours, eager.outputs[name], value, budget, kind)
    assert actual.gradients.keys() == gold.gradients.keys()
    for name, value in gold.gradients.items():
        ours, near = actual.gradients[name], eager.gradients[name]
        if value is None or near is None:
            assert ours is None, f"gradient of {name}"
            continue
        assert ours is not None, f"gradient of {name}"
        kind = dtype_name(tensors[name].dtype)
        assert_within_budget(f"gradient of {name}", ours, near, value, budget, kind)

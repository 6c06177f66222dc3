"""The statistics as one differentiable step of eager torch."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.linear_cross_entropy.columns import Forward
from onetrip.ops.linear_cross_entropy.rows import RowGradients
from onetrip.ops.linear_cross_entropy.statistics import Options, Route, find_route


def eager_statistics(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    options: Options,
    resolved: tuple[str, Config] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log-probability, lse, entropy, smooth and argmax of every token; empty if not asked for."""
    route = find_route(input, weight, options, resolved)
    if not options.wanted:
        return route.outputs(
            route.forward(route.request(input, weight, bias, class_weight, target))
        )
    return _Statistics.apply(input, weight, bias, class_weight, target, route)


class _Statistics(torch.autograd.Function):
    """One walk forward, one backward.

    All tensors go through autograd: it notices when the caller overwrites one and frees them after
    the pass, and an output held in any other way would keep its own graph alive for ever.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        class_weight: Tensor | None,
        target: Tensor,
        route: Route,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        saved = route.forward(route.request(input, weight, bias, class_weight, target))
        outputs = route.outputs(saved)
        tensors: list[Tensor] = []
        ctx.route, ctx.without_tensors = route, _take_tensors(saved, tensors)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(outputs[4])
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        route: Route = ctx.route
        saved: Forward = _put_tensors(ctx.without_tensors, ctx.saved_tensors)
        gradients = route.backward(saved, RowGradients(*grads[:4]))
        return gradients.input, gradients.weight, gradients.bias, None, None, None


@dataclass(frozen=True, slots=True)
class _Slot:
    """Stands where a tensor was."""

    index: int


def _take_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """The same dataclasses with a slot in place of each tensor, which is appended to `tensors`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Slot(len(tensors) - 1)
    if is_dataclass(value) and not isinstance(value, type):
        taken = {f.name: _take_tensors(getattr(value, f.name), tensors) for f in fields(value)}
        return replace(value, **taken)
    return value


def _put_tensors(value: Any, tensors: tuple[Tensor, ...]) -> Any:
    """Undo `_take_tensors`."""
    if isinstance(value, _Slot):
        return tensors[value.index]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: _put_tensors(getattr(value, f.name), tensors) for f in fields(value)}
        )
    return value

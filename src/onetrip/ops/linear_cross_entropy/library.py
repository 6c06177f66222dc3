"""The operator as torch sees it: statistics of every token, and their gradients.

`onetrip::linear_cross_entropy_stats` returns four differentiable statistics [N] and what the
backward pass needs; every reduction and every loss is plain torch on top of them. Registered with
`torch.library`, so that `torch.compile` keeps it as one node with known shapes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from onetrip.core.errors import ShapeError, complaint
from onetrip.core.selection import Config, Problem
from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.columns import (
    Call,
    Forward,
    Wanted,
    backward,
    forward,
)
from onetrip.ops.linear_cross_entropy.plan import Plan
from onetrip.ops.linear_cross_entropy.resolve import (
    decode_route,
    make_backend,
    problem_of,
    resolve,
)
from onetrip.ops.linear_cross_entropy.rows import RowGradients, RowStats
from onetrip.ops.linear_cross_entropy.shards import Shard, find_shard
from onetrip.ops.linear_cross_entropy.target_check import check_targets

# Order of the statistics that the operator returns.
STATISTICS = ("logprob", "lse", "entropy", "smooth", "argmax")


class _Request:
    """One call's plain arguments, decoded: what to compute, with what, in which tiles."""

    def __init__(
        self,
        input: Tensor,
        weight: Tensor,
        outputs: str,
        grads: str,
        softcap: float | None,
        route: str,
        memory_budget: int,
    ) -> None:
        self.outputs = frozenset(outputs.split())
        self.wanted = Wanted(*(name in grads.split() for name in ("input", "weight", "bias")))
        self.problem = self._problem(input, weight, softcap, memory_budget)
        impl, config = decode_route(route)
        if config is None:
            impl, config = resolve(impl, self.problem)
        self.impl: str = impl
        self.config: Config = config

    def _problem(
        self, input: Tensor, weight: Tensor, softcap: float | None, memory_budget: int
    ) -> Problem:
        options: dict[str, object] = {"memory_budget": memory_budget, "reduction": "none"}
        if softcap is not None:
            options["softcap"] = softcap
        if "smooth" in self.outputs:
            options["label_smoothing"] = 0.1
        options["aux"] = tuple(self.outputs & {"lse", "entropy"})
        return problem_of(input, weight, options)

    def plan(self, *, keep: bool = True) -> Plan:
        """Tiles within the budget; nothing is kept when no gradient is wanted."""
        wanted = self.wanted
        any_grad = wanted.input or wanted.weight or wanted.bias
        return select.plan_for(
            self.impl,
            self.problem,
            self.config,
            grad_input=wanted.input,
            grad_weight=wanted.weight,
            keep=keep and any_grad,
        )


def _make_call(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: frozenset[str],
    shard: Shard,
) -> tuple[Call, Tensor]:
    """Build the walk's call, and the rows whose target is no class at all."""
    valid = target != ignore_index
    bad = valid & ((target < 0) | (target >= shard.total))
    valid = valid & ~bad
    stop = shard.start + weight.shape[0]
    here = valid & (target >= shard.start) & (target < stop)
    weight_sum: Tensor | float = float(shard.total)
    target_weight: Tensor | float = 1.0
    smoothing = "smooth" in outputs
    if class_weight is not None and smoothing:
        if class_weight.shape[0] != shard.total:
            expected = f"a vector of all {shard.total} classes"
            raise ShapeError(complaint("weight", expected=expected, got=list(class_weight.shape)))
        weight_sum = class_weight.sum()
        target_weight = class_weight[torch.where(valid, target, 0)]
        class_weight = class_weight[shard.start : stop].contiguous()
    call = Call(
        input=input,
        weight=weight,
        bias=bias,
        class_weight=class_weight if smoothing else None,
        target=torch.where(here, target - shard.start, -1).to(torch.int32),
        valid=valid,
        weight_sum=weight_sum,
        target_weight=target_weight,
        logit_scale=logit_scale,
        softcap=softcap,
        entropy="entropy" in outputs,
        smoothing=smoothing,
        argmax="argmax" in outputs,
    )
    return call, bad


@torch.library.custom_op("onetrip::linear_cross_entropy_stats", mutates_args=())
def linear_cross_entropy_stats(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    route: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Statistics of each token, then `rest`, `ref` and `kept` for the backward pass.

    Parameters
    ----------
    outputs : names of statistics besides the log-probability, joined by blanks; "lse" only says
        that its gradient may come.
    grads : names among input, weight and bias whose gradients are wanted, joined by blanks.
    route : an implementation's name, and after a blank its configuration in JSON.
    group : a process group's name, or "".
    """
    request = _Request(input, weight, outputs, grads, softcap, route, memory_budget)
    plan = request.plan()
    shard = find_shard(group, weight.shape[0], input.device)
    call, bad = _make_call(
        input,
        weight,
        bias,
        class_weight,
        target,
        ignore_index,
        logit_scale,
        softcap,
        request.outputs,
        shard,
    )
    check_targets(bad, shard.total)
    backend = make_backend(request.impl, request.problem, request.config, plan.columns)
    result = forward(
        backend,
        call,
        plan,
        stores_exponentials=select.stores_exponentials(request.problem),
        reduce=shard.reduce if group else None,
        gather=shard.gather if group else None,
    )
    stats = result.stats
    nothing = input.new_empty(0, dtype=torch.float32)
    return (
        torch.where(bad, float("nan"), stats.logprob),
        stats.lse,
        nothing if stats.entropy is None else stats.entropy,
        nothing.clone() if stats.smooth is None else stats.smooth / shard.total,
        nothing.to(torch.int64) if stats.argmax is None else stats.argmax,
        stats.rest,
        result.ref,
        result.kept,
    )


@linear_cross_entropy_stats.register_fake
def _(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    route: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    N = input.shape[0]
    asked = outputs.split()
    request = _Request(input, weight, outputs, grads, softcap, route, memory_budget)

    def rows(present: bool = True, dtype: torch.dtype = torch.float32) -> Tensor:
        return input.new_empty(N if present else 0, dtype=dtype)

    return (
        rows(),
        rows(),
        rows("entropy" in asked),
        rows("smooth" in asked),
        rows("argmax" in asked, torch.int64),
        rows(),
        rows(),
        input.new_empty(N, request.plan().kept),
    )


@torch.library.custom_op("onetrip::linear_cross_entropy_grads", mutates_args=())
def linear_cross_entropy_grads(
    d_logprob: Tensor,
    d_lse: Tensor | None,
    d_entropy: Tensor | None,
    d_smooth: Tensor | None,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    logprob: Tensor,
    lse: Tensor,
    entropy: Tensor,
    rest: Tensor,
    ref: Tensor,
    kept: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    route: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of input, weight and bias; empty where `grads` does not name them."""
    request = _Request(input, weight, outputs, grads, softcap, route, memory_budget)
    plan = request.plan()
    shard = find_shard(group, weight.shape[0], input.device)
    call, bad = _make_call(
        input,
        weight,
        bias,
        class_weight,
        target,
        ignore_index,
        logit_scale,
        softcap,
        request.outputs,
        shard,
    )
    stats = RowStats(
        logprob=torch.where(bad, 0.0, logprob),
        lse=lse,
        rest=rest,
        entropy=entropy if entropy.numel() else None,
        smooth=None,
        argmax=None,
    )
    result = backward(
        make_backend(request.impl, request.problem, request.config, plan.columns),
        call,
        plan,
        Forward(stats, ref, kept),
        RowGradients(
            d_logprob, d_lse, d_entropy, None if d_smooth is None else d_smooth / shard.total
        ),
        request.wanted,
        reduce=shard.reduce if group else None,
    )
    nothing = input.new_empty(0)
    return (
        nothing if result.input is None else result.input,
        nothing.clone() if result.weight is None else result.weight,
        nothing.clone() if result.bias is None else result.bias,
    )


@linear_cross_entropy_grads.register_fake
def _(
    d_logprob: Tensor,
    d_lse: Tensor | None,
    d_entropy: Tensor | None,
    d_smooth: Tensor | None,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *rest: object,
) -> tuple[Tensor, Tensor, Tensor]:
    wanted = str(rest[12]).split()

    def like(name: str, tensor: Tensor | None) -> Tensor:
        if name in wanted and tensor is not None:
            return torch.empty_like(tensor, memory_format=torch.contiguous_format)
        return input.new_empty(0)

    return like("input", input), like("weight", weight), like("bias", bias)


def _setup_context(ctx: object, inputs: tuple[object, ...], output: tuple[Tensor, ...]) -> None:
    input, weight, bias, class_weight, target, *plain = inputs
    logprob, lse, entropy, _, argmax, rest, ref, kept = output
    ctx.save_for_backward(  # type: ignore[attr-defined]
        input, weight, bias, class_weight, target, logprob, lse, entropy, rest, ref, kept
    )
    ctx.plain = tuple(plain)  # type: ignore[attr-defined]
    ctx.mark_non_differentiable(argmax, rest, ref, kept)  # type: ignore[attr-defined]


def _backward(ctx: Mapping[str, object], *grads_out: Tensor) -> tuple[Tensor | None, ...]:
    d_logprob, d_lse, d_entropy, d_smooth, *_ = grads_out
    plain = ctx.plain  # type: ignore[attr-defined]
    outputs = str(plain[3]).split()
    gradients = linear_cross_entropy_grads(
        d_logprob,
        d_lse if "lse" in outputs else None,
        d_entropy if "entropy" in outputs else None,
        d_smooth if "smooth" in outputs else None,
        *ctx.saved_tensors,  # type: ignore[attr-defined]
        *plain,
    )
    wanted = str(plain[4]).split()
    found = tuple(
        gradient if name in wanted else None
        for name, gradient in zip(("input", "weight", "bias"), gradients, strict=True)
    )
    return (*found, *(None,) * 10)


linear_cross_entropy_stats.register_autograd(_backward, setup_context=_setup_context)

"""The statistics as `torch.compile` sees them: one node, with known shapes.

Eager calls take `autograd.py`, which costs less per call and keeps what the forward pass knew;
a compiled graph can hold only tensors and plain values, so here the backward pass looks again.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy import select
from onetrip.ops.linear_cross_entropy.columns import Forward
from onetrip.ops.linear_cross_entropy.plan import kept_rows
from onetrip.ops.linear_cross_entropy.resolve import resolve
from onetrip.ops.linear_cross_entropy.rows import RowGradients, RowStats, exponential_units
from onetrip.ops.linear_cross_entropy.statistics import Options, find_route, problem_from
from onetrip.ops.linear_cross_entropy.walk import Wanted


def _options(
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    impl: str,
    memory_budget: int,
    group: str,
) -> Options:
    names = grads.split()
    wanted = Wanted(*(name in names for name in ("input", "weight", "bias")))
    asked = frozenset(outputs.split())
    return Options(ignore_index, logit_scale, softcap, asked, wanted, impl, memory_budget, group)


@torch.library.custom_op("onetrip::linear_cross_entropy_statistics", mutates_args=())
def compiled_statistics(
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
    impl: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Five statistics as `autograd.eager_statistics`, then mass, ref and kept.

    `outputs` and `grads` are names joined by blanks.
    """
    options = _options(
        ignore_index, logit_scale, softcap, outputs, grads, impl, memory_budget, group
    )
    route = find_route(input, weight, options)
    saved = route.forward(route.request(input, weight, bias, class_weight, target))
    return *route.outputs(saved), saved.stats.mass, saved.ref, saved.kept


@compiled_statistics.register_fake
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
    impl: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    N = input.shape[0]
    options = _options(
        ignore_index, logit_scale, softcap, outputs, grads, impl, memory_budget, group
    )

    def rows(present: bool = True, dtype: torch.dtype = torch.float32) -> Tensor:
        return input.new_empty(N if present else 0, dtype=dtype)

    return (
        rows(),
        rows(),
        rows("entropy" in options.outputs),
        rows("smooth" in options.outputs),
        rows("argmax" in options.outputs, torch.int64),
        rows(),
        rows(),
        input.new_empty(_kept_shape(input, weight, options)),
    )


def _kept_shape(input: Tensor, weight: Tensor, options: Options) -> tuple[int, int]:
    """Shape of what the forward pass will keep: not known before the number of tokens is."""
    problem = problem_from(input, weight, options)
    impl, _ = resolve(options.impl, problem)
    exponentials = select.stores_exponentials(problem)
    rows = kept_rows(input.shape[0], stores_exponentials=exponentials)
    if not options.wanted or not select.can_keep(impl, problem):
        return rows, 0
    if all(isinstance(size, int) for size in (*input.shape, *weight.shape)):
        return rows, find_route(input, weight, replace(options, group="")).plan.kept
    return rows, torch.library.get_ctx().new_dynamic_size()


@torch.library.custom_op("onetrip::linear_cross_entropy_gradients", mutates_args=())
def compiled_gradients(
    d_logprob: Tensor | None,
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
    mass: Tensor,
    ref: Tensor,
    kept: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    impl: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of input, weight and bias; empty where `grads` does not name them."""
    options = _options(
        ignore_index, logit_scale, softcap, outputs, grads, impl, memory_budget, group
    )
    route = find_route(input, weight, options)
    call = route.backend().prepare(route.request(input, weight, bias, class_weight, target))
    if group:
        # The target's logit may live elsewhere; what the forward pass shared is in `ref`.
        call = replace(call, ref=ref)
    stats = RowStats(logprob, lse, mass, entropy if entropy.numel() else None, None, None)
    units = None
    if route.plan.relative:
        units = exponential_units(stats, ref, call.valid, logit_scale)
    saved = Forward(call, stats, ref, units, kept)
    result = route.backward(saved, RowGradients(d_logprob, d_lse, d_entropy, d_smooth))
    nothing = input.new_empty(0)
    return (
        nothing if result.input is None else result.input,
        nothing.clone() if result.weight is None else result.weight,
        nothing.clone() if result.bias is None else result.bias,
    )


@compiled_gradients.register_fake
def _(
    d_logprob: Tensor | None,
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
    mass: Tensor,
    ref: Tensor,
    kept: Tensor,
    ignore_index: int,
    logit_scale: float,
    softcap: float | None,
    outputs: str,
    grads: str,
    impl: str,
    memory_budget: int,
    group: str,
) -> tuple[Tensor, Tensor, Tensor]:
    def like(name: str, tensor: Tensor | None) -> Tensor:
        if name in grads.split() and tensor is not None:
            return tensor.new_empty(tensor.shape)
        return input.new_empty(0)

    return like("input", input), like("weight", weight), like("bias", bias)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    input, weight, bias, class_weight, target, *plain = inputs
    logprob, lse, entropy, _, argmax, mass, ref, kept = output
    ctx.save_for_backward(
        input, weight, bias, class_weight, target, logprob, lse, entropy, mass, ref, kept
    )
    ctx.plain = tuple(plain)
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(argmax, mass, ref, kept)


def _backward(
    ctx: Any,
    d_logprob: Tensor | None,
    d_lse: Tensor | None,
    d_entropy: Tensor | None,
    d_smooth: Tensor | None,
    *_: None,
) -> tuple[Tensor | None, ...]:
    outputs, grads = ctx.plain[3].split(), ctx.plain[4].split()
    gradients = compiled_gradients(
        d_logprob,
        d_lse if "lse" in outputs else None,
        d_entropy if "entropy" in outputs else None,
        d_smooth if "smooth" in outputs else None,
        *ctx.saved_tensors,
        *ctx.plain,
    )
    names = zip(("input", "weight", "bias"), gradients, strict=True)
    return (*(gradient if name in grads else None for name, gradient in names), *(None,) * 10)


compiled_statistics.register_autograd(_backward, setup_context=_setup_context)

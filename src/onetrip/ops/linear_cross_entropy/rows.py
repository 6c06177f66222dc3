"""Arithmetic on rows: statistics of each token, and the coefficients of its gradient.

Everything here is float32 of shape [N]; nothing of the size of the logits. Four statistics of a
token are differentiable, and every loss of this operator is a sum of them:

- ``logprob`` = z_t - lse, formed as -softplus(rest - z_t) where `rest` is the log-sum-exp of all
  columns but the target's, so that a small loss keeps its digits;
- ``lse`` = log(sum_v exp z_v);
- ``entropy`` = lse - sum_v p_v z_v;
- ``smooth`` = sum_v w_v (lse - z_v), what label smoothing adds.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Partials:
    """Statistics of groups of columns, [groups, N]; None where they were not asked for.

    `maximum` and `total` are the maximum and the sum of exponentials over it of all columns but
    the target's; `gap` is ``sum exp(z - maximum) (z - maximum)``; `linear` is
    ``sum_v w_v (z_v - ref)`` over all columns; `best`, `best_at` the largest logit and its column.
    """

    maximum: Tensor
    total: Tensor
    gap: Tensor | None = None
    linear: Tensor | None = None
    best: Tensor | None = None
    best_at: Tensor | None = None


@dataclass(frozen=True, slots=True)
class RowStats:
    """Statistics of each token, [N]; None where they were not asked for.

    `mass` is the sum of ``exp(z - lse)``, which the rounding of a large `lse` keeps from 1: a
    probability is ``exp(z - lse) / mass``.
    """

    logprob: Tensor
    lse: Tensor
    mass: Tensor
    entropy: Tensor | None
    smooth: Tensor | None
    argmax: Tensor | None


@dataclass(frozen=True, slots=True)
class RowGradients:
    """Gradients of the loss with respect to the four statistics, [N]; None means zero."""

    logprob: Tensor | None = None
    lse: Tensor | None = None
    entropy: Tensor | None = None
    smooth: Tensor | None = None


def merge_groups(parts: Partials) -> Partials:
    """Merge groups of columns into one, [1, N]; also merges the shards of several processes."""
    top = parts.maximum.amax(0, keepdim=True)
    base = torch.where(top.isneginf(), 0.0, top)
    share = torch.exp(parts.maximum - base)
    gap = None
    if parts.gap is not None:
        drop = torch.where(parts.maximum.isneginf(), 0.0, parts.maximum - base)
        gap = (share * (parts.gap + parts.total * drop)).sum(0, keepdim=True)
    best = best_at = None
    if parts.best is not None and parts.best_at is not None:
        best = parts.best.amax(0, keepdim=True)
        never = torch.iinfo(parts.best_at.dtype).max
        # The first column among equals.
        best_at = torch.where(parts.best == best, parts.best_at, never).amin(0, keepdim=True)
    return Partials(
        maximum=top,
        total=(parts.total * share).sum(0, keepdim=True),
        gap=gap,
        linear=None if parts.linear is None else parts.linear.sum(0, keepdim=True),
        best=best,
        best_at=best_at,
    )


def finish_stats(
    merged: Partials, *, ref: Tensor, valid: Tensor, weight_sum: Tensor | float
) -> RowStats:
    """Put the target's column back and form the statistics.

    `ref` is the target's logit; rows that are not `valid` have no target, their `merged` already
    covers all columns.
    """
    top, total = merged.maximum[0], merged.total[0]
    z_target = torch.where(valid, ref, float("-inf"))
    base = torch.where(top.isneginf(), 0.0, top)
    # A difference first: the sum with a large maximum would round the logarithm away.
    over = (base - ref) + total.log()
    lse = torch.logaddexp(base + total.log(), z_target)
    others = torch.where(total > 0, total * torch.exp(base - lse), 0.0)
    mass = others + torch.exp(z_target - lse)
    # A target that is no class at all has NaN for its reference, and shows it.
    without_target = torch.where(ref.isnan(), ref, 0.0)
    logprob = torch.where(valid, -torch.nn.functional.softplus(over), without_target)
    entropy = None
    if merged.gap is not None:
        base = torch.maximum(top, z_target)
        base = torch.where(base.isneginf(), 0.0, base)
        share = torch.exp(top - base)
        drop = torch.where(top.isneginf(), 0.0, top - base)
        target_share = torch.exp(z_target - base)
        target_gap = torch.where(target_share > 0, target_share * (z_target - base), 0.0)
        whole = share * total + target_share
        gap = share * (merged.gap[0] + total * drop) + target_gap
        entropy = whole.log() - gap / whole
    smooth = None
    if merged.linear is not None:
        smooth = weight_sum * (lse - ref + mass.log()) - merged.linear[0]
    argmax = None if merged.best_at is None else merged.best_at[0].long()
    return RowStats(logprob, lse, mass, entropy, smooth, argmax)


def low_references(stats: RowStats, ref: Tensor, max_lift: float) -> Tensor:
    """Rows [N], bool, whose log-sum-exp is more than `max_lift` nats above their reference.

    Rows without a target count too: their infinity times a factor of 0 would be NaN.
    """
    return stats.lse - ref > max_lift


def exponential_units(stats: RowStats, ref: Tensor, valid: Tensor, scale: float) -> Tensor:
    """Units [4, N] in which exponentials relative to `ref` are gradients of the log-probability.

    The first three are coefficients as a kernel takes them (see `gradient_coefficients`); the
    fourth, times the gradient of the row's log-probability, is the row's factor.
    """
    size = -scale * torch.exp(ref - stats.lse) / stats.mass
    size = torch.where(valid, size, torch.where(ref.isnan(), ref, 0))
    at_target = torch.expm1(stats.logprob) * stats.mass * torch.exp(stats.lse - ref)
    return torch.stack([ref, torch.ones_like(ref), at_target, size])


def gradient_coefficients(
    stats: RowStats,
    grads: RowGradients,
    *,
    ref: Tensor,
    valid: Tensor,
    weight_sum: Tensor | float,
    target_weight: Tensor | float,
    logit_scale: float,
    softcap: float | None,
) -> Tensor:
    """Coefficients [5, N] from which a kernel forms the gradient of any logit.

    That of an ordinary column is ``q (a + b log q) - smooth * w`` with ``q = exp(z - lse)``, that
    of the target's column ``at_target``, formed here where 1 - p is known without cancellation.
    All but the reference carry the logit scale; the slope of the soft cap is left to the kernel,
    except at the target.
    """
    zero = torch.zeros_like(stats.lse)
    g_logprob = zero if grads.logprob is None else torch.where(valid, grads.logprob, 0.0)
    g_entropy = zero if grads.entropy is None else grads.entropy
    g_smooth = zero if grads.smooth is None else grads.smooth
    slope = g_smooth * weight_sum  # of p, leaving the log-probability's share out
    if grads.lse is not None:
        slope = slope + grads.lse
    if stats.entropy is not None:
        slope = slope - g_entropy * stats.entropy
    log_p = stats.logprob
    not_target = -torch.expm1(log_p)
    at_target = log_p.exp() * (slope - g_entropy * log_p) + g_logprob * not_target
    at_target = at_target - g_smooth * target_weight
    of_p = slope - g_logprob
    if stats.entropy is not None:
        of_p = of_p + g_entropy * stats.mass.log()
    coefficients = torch.stack([stats.lse, of_p, at_target, -g_entropy, g_smooth])
    # From p to exp(z - lse).
    coefficients[1:4:2] /= stats.mass
    coefficients[1:] *= logit_scale
    if softcap is not None:
        coefficients[2] *= 1 - (ref / softcap).square()
    return coefficients

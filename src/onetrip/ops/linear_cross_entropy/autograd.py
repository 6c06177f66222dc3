"""The statistics as one differentiable step of eager torch."""

from typing import Any

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.columns import Forward
from onetrip.ops.linear_cross_entropy.rows import RowGradients
from onetrip.ops.linear_cross_entropy.statistics import Options, Statistics, outputs_of


def eager_statistics(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    class_weight: Tensor | None,
    target: Tensor,
    options: Options,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log-probability, lse, entropy, smooth and argmax of every token; empty if not asked for."""
    if not options.wanted:
        statistics = Statistics(input, weight, bias, class_weight, target, options)
        return outputs_of(statistics.forward(), statistics.shard.total)
    return _Statistics.apply(input, weight, bias, class_weight, target, options)


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        class_weight: Tensor | None,
        target: Tensor,
        options: Options,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        statistics = Statistics(input, weight, bias, class_weight, target, options)
        saved = statistics.forward()
        # Tensors of the caller go through autograd, which notices when they are overwritten.
        ctx.save_for_backward(input, weight, bias)
        ctx.statistics, ctx.saved = statistics, saved
        ctx.set_materialize_grads(False)
        outputs = outputs_of(saved, statistics.shard.total)
        ctx.mark_non_differentiable(outputs[4])
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any,
        d_logprob: Tensor | None,
        d_lse: Tensor | None,
        d_entropy: Tensor | None,
        d_smooth: Tensor | None,
        _: None,
    ) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors
        statistics: Statistics = ctx.statistics
        saved: Forward = ctx.saved
        if d_smooth is not None:
            d_smooth = d_smooth / statistics.shard.total
        gradients = statistics.backward(saved, RowGradients(d_logprob, d_lse, d_entropy, d_smooth))
        return gradients.input, gradients.weight, gradients.bias, None, None, None

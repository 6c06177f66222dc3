"""From per-token statistics to a loss: plain torch on vectors [N], differentiated by autograd."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from onetrip.ops.linear_cross_entropy.target_check import check_targets
from onetrip.ops.linear_cross_entropy.torch_rows import RowsResult, logprob_and_gradients
from onetrip.ops.linear_cross_entropy.walk import Gradients, Wanted


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is known of the tokens: target [N], whether it counts, and its weights."""

    target: Tensor
    valid: Tensor
    class_weight: Tensor | None
    token_weight: Tensor | None

    def for_kernels(self) -> "Tokens":
        """The same with a target that lies in one piece and weights in float32, as the loss is."""
        weights = (self.class_weight, self.token_weight)
        class_weight, token_weight = (None if w is None else w.float() for w in weights)
        return replace(
            self,
            target=self.target.contiguous(),
            class_weight=class_weight,
            token_weight=token_weight,
        )

    def target_weight(self) -> Tensor:
        """Class weight of each token's target, 0 where it does not count."""
        if self.class_weight is None:
            return self.valid.float()
        V = self.class_weight.shape[0]
        index = torch.where(self.valid, self.target, 0).clamp(0, V - 1)
        return torch.where(self.valid, self.class_weight[index], 0.0)

    def share(self) -> Tensor:
        """What each token adds to the denominator of the mean."""
        share = self.target_weight()
        return share if self.token_weight is None else share * self.token_weight


def reduce_loss(
    logprob: Tensor, lse: Tensor, smooth: Tensor, tokens: Tokens, options: Mapping[str, Any]
) -> Tensor:
    """Weigh, add up and reduce the tokens' losses."""
    smoothing = options["label_smoothing"]
    row_loss = -(1 - smoothing) * tokens.target_weight() * logprob
    if smoothing > 0:
        row_loss = row_loss + smoothing * smooth
    if options["z_loss"] > 0:
        row_loss = row_loss + options["z_loss"] * lse.square()
    row_loss = torch.where(tokens.valid, row_loss, 0.0)
    if tokens.token_weight is not None:
        row_loss = row_loss * tokens.token_weight
    if options["reduction"] == "none":
        return row_loss
    if options["reduction"] == "sum":
        return row_loss.sum()
    return row_loss.sum() / tokens.share().sum()


def loss_by_rows(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    tokens: Tokens,
    options: Mapping[str, Any],
    *,
    rows: int,
) -> Tensor:
    """Mean or summed loss whose gradients are made in the forward pass, a block of rows at once."""
    V = linear_weight.shape[0]
    bad = tokens.valid & ((tokens.target < 0) | (tokens.target >= V))
    check_targets(bad.sum(), V)
    share = tokens.share()
    total = share.sum() if options["reduction"] == "mean" else share.new_ones(())
    return _LossByRows.apply(
        input,
        linear_weight,
        linear_bias,
        torch.where(tokens.valid & ~bad, tokens.target, 0).long(),
        tokens.valid & ~bad,
        torch.where(bad, float("nan"), share),
        total,
        options["logit_scale"],
        rows,
    )


class _LossByRows(torch.autograd.Function):
    """``-sum(share * logprob) / total``.

    The gradients are handed over by the first backward pass and made again by any later one:
    scaling them in place twice would be wrong, and keeping a copy would double the memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        valid: Tensor,
        share: Tensor,
        total: Tensor,
        logit_scale: float,
        rows: int,
    ) -> Tensor:
        dlogprob = torch.where(valid, -share / total, 0.0)
        ctx.save_for_backward(input, weight, bias, target, valid, dlogprob)
        ctx.logit_scale, ctx.rows = logit_scale, rows
        result = _LossByRows._walk(ctx, input, weight, bias, target, valid, dlogprob)
        ctx.ready = [result.gradients]
        return (torch.where(valid, -share * result.logprob, share)).sum() / total

    @staticmethod
    def _walk(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        valid: Tensor,
        dlogprob: Tensor,
    ) -> RowsResult:
        wanted = Wanted(*ctx.needs_input_grad[:3])
        return logprob_and_gradients(
            input,
            weight,
            bias,
            target,
            valid,
            dlogprob,
            logit_scale=ctx.logit_scale,
            rows=ctx.rows,
            wanted=wanted,
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        ready: Gradients = (
            ctx.ready.pop() if ctx.ready else _LossByRows._walk(ctx, *ctx.saved_tensors).gradients
        )
        gradients = (ready.input, ready.weight, ready.bias)
        if grad_out.device.type != "cpu" or grad_out.item() != 1.0:
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(grad_out)
        return (*gradients, *(None,) * 6)

"""The definition of linear cross entropy in plain torch, a line per formula."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def linear_cross_entropy_reference(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    z_loss: float = 0.0,
    token_weight: Tensor | None = None,
    aux: Sequence[str] = (),
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss as everybody does, with the [N, V] logits in memory.

    In float64 this is the truth; in the working dtype it is what plain torch users have today.
    """
    logits = torch.nn.functional.linear(input, linear_weight, linear_bias)
    z = logits if logits.dtype == torch.float64 else logits.float()
    z = z * logit_scale
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    valid = target != ignore_index
    index = torch.where(valid, target, 0).long().unsqueeze(-1)
    class_weight = z.new_ones(z.shape[-1]) if weight is None else weight.to(z.dtype)

    lse = torch.logsumexp(z, dim=-1)
    log_p = torch.log_softmax(z, dim=-1)
    logprob = torch.where(valid, log_p.gather(-1, index).squeeze(-1), 0.0)
    target_weight = torch.where(valid, class_weight[index.squeeze(-1)], 0.0)

    row_loss = -(1 - label_smoothing) * target_weight * logprob
    if label_smoothing > 0:
        row_loss = row_loss - label_smoothing / z.shape[-1] * (log_p * class_weight).sum(-1)
    if z_loss > 0:
        row_loss = row_loss + z_loss * lse.square()
    row_loss = torch.where(valid, row_loss, 0.0)
    share = target_weight
    if token_weight is not None:
        row_loss = row_loss * token_weight.to(z.dtype)
        share = share * token_weight.to(z.dtype)

    loss = row_loss
    if reduction == "sum":
        loss = row_loss.sum()
    elif reduction == "mean":
        loss = row_loss.sum() / share.sum()
    if not aux:
        return loss
    values = {
        "logprob": logprob,
        "lse": lse,
        "entropy": -torch.where(log_p.isneginf(), 0.0, log_p.exp() * log_p).sum(-1),
        "argmax": z.argmax(-1),
    }
    return loss, {name: values[name] for name in aux}


def logit_at(
    place: Tensor,
    input: Tensor,
    linear_weight: Tensor,
    *,
    linear_bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    **_: object,
) -> Tensor:
    """Logit [N], float64, of the class at `place` [N] of each row; NaN where that is no class."""
    inside = (place >= 0) & (place < linear_weight.shape[0])
    row = torch.where(inside, place, 0)
    z = torch.linalg.vecdot(input.double(), linear_weight[row].double())
    if linear_bias is not None:
        z = z + linear_bias[row]
    z = z * logit_scale
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    return torch.where(inside, z, float("nan"))


# Of logits that nearly tie, any may be the largest: an argmax is judged by the logit that it names.
STANDS_AT = {"argmax": logit_at}


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
    ignored: float = 0.05,
) -> dict[str, Tensor]:
    """Draw tensors with meaningful values for one problem.

    Parameters
    ----------
    axes : sizes N, D and V.
    data : "random" draws independent logits of unit variance; "peaked" points each hidden state
        at its target's row, as a trained model does (Zipf-distributed targets, mean loss of a
        few tenths, losses from 1e-4 to 10); "offset" adds 300 to every logit of "random".
    optional_inputs : which of "linear_bias", "weight", "token_weight" to make.
    ignored : share of targets that are the ignore index -100.
    """
    N, D, V = axes["N"], axes["D"], axes["V"]
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    linear_weight = normal(V, D) / math.sqrt(max(D, 1))
    # Inverse transform of a 1/(rank + 1) law: log-uniform ranks.
    target = ((V + 1.0) ** uniform(N) - 1).long().clamp_(0, max(V - 1, 0))
    hidden = normal(N, D)
    if data == "peaked" and V:
        row = linear_weight[target]
        strength = math.log(V) + 3.0 + 3.0 * normal(N, 1)
        hidden = hidden + strength * row / row.square().sum(-1, keepdim=True)
    elif data == "offset" and D:
        hidden[:, 0] = 300.0
        linear_weight[:, 0] = 1.0
    inputs = {
        "input": hidden.to(dtype),
        "linear_weight": linear_weight.to(dtype),
        "target": torch.where(uniform(N) < ignored, -100, target),
    }
    if "linear_bias" in optional_inputs:
        inputs["linear_bias"] = normal(V).to(dtype)
    if "weight" in optional_inputs:
        inputs["weight"] = 0.5 + uniform(V)
    if "token_weight" in optional_inputs:
        inputs["token_weight"] = 0.5 + uniform(N)
    return inputs

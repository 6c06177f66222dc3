"""The reference of linear cross entropy, a few tokens at a time.

Tokens meet only in the mean, so the reference runs on runs of them without a reduction, each run
forgotten after its forward pass and computed again in its backward pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from onetrip.testing.contract import Case
from onetrip.testing.contract.evaluate import Forward

_CPU_BYTES = 1 << 30
_SHARE_OF_DEVICE = 0.1
# Copies of the logits that the reference and its backward pass hold at once.
_COPIES = 12


def in_chunks(
    case: Case, inputs: Mapping[str, Tensor], wrt: Sequence[str], dtype: torch.dtype | None
) -> Forward:
    """Evaluate the reference in `dtype`, or in the inputs' own dtypes where it is None.

    Leaves are float64, or float32 where `dtype` is None: each run casts its own part, so that
    gradients of half precision are summed over the runs in float32.
    """
    options: dict[str, Any] = dict(case.workload.options)
    reduction = options.pop("reduction", "mean")
    wide = dtype or torch.float32
    own = {name: dtype or tensor.dtype for name, tensor in inputs.items()}
    tensors = {
        name: tensor.detach().to(wide) if tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }
    leaves = {name: tensors[name].detach().requires_grad_() for name in wrt}
    tensors |= leaves
    names = list(tensors)
    by_token = {"input", "target", "token_weight"}
    aux = tuple(options.get("aux", ()))

    def run(*parts: Tensor) -> tuple[Tensor, ...]:
        cast = {
            name: part.to(own[name]) if part.is_floating_point() else part
            for name, part in zip(names, parts, strict=True)
        }
        result = case.operator.reference(**cast, reduction="none", **options)
        if not isinstance(result, tuple):
            return (result,)
        return (result[0], *(result[1][name] for name in aux))

    N, V = inputs["target"].numel(), inputs["linear_weight"].shape[0]
    rows = _rows(inputs["input"].device, N, V, wide.itemsize)
    runs = []
    for begin in range(0, max(N, 1), rows):
        parts = [
            tensor[begin : begin + rows] if name in by_token else tensor
            for name, tensor in tensors.items()
        ]
        runs.append(checkpoint(run, *parts, use_reentrant=False))
    loss, *values = (torch.cat(parts) for parts in zip(*runs, strict=True))
    if reduction == "sum":
        loss = loss.sum()
    elif reduction == "mean":
        loss = loss.sum() / _share(tensors, options.get("ignore_index", -100)).sum()
    return Forward({"loss": loss, **dict(zip(aux, values, strict=True))}, leaves)


def _share(tensors: Mapping[str, Tensor], ignore_index: int) -> Tensor:
    """What each token counts in the mean."""
    target = tensors["target"]
    valid = target != ignore_index
    share = valid.to(tensors["input"].dtype)
    if "weight" in tensors:
        share = share * tensors["weight"][torch.where(valid, target, 0).long()]
    if "token_weight" in tensors:
        share = share * tensors["token_weight"]
    return share


def _rows(device: torch.device, N: int, V: int, itemsize: int) -> int:
    room = _CPU_BYTES
    if device.type == "cuda":
        room = int(torch.cuda.get_device_properties(device).total_memory * _SHARE_OF_DEVICE)
    return max(1, min(N, room // max(_COPIES * V * itemsize, 1)))

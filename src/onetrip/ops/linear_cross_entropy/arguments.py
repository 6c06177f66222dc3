"""Checks of the public function's arguments, and the forms of a head that it accepts."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError, complaint
from onetrip.ops.linear_cross_entropy.spec import SPEC

REDUCTIONS = ("mean", "sum", "none")
AUX = ("logprob", "lse", "entropy", "argmax")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_REFERENCE_FLOATS = (*_FLOATS, torch.float64)


@dataclass(frozen=True, slots=True)
class Head:
    """This process's part of the head, and the name of the group that holds the rest or ""."""

    weight: Tensor
    bias: Tensor | None
    group: str


def check_options(options: Mapping[str, Any], memory_budget: int | None, impl: str) -> None:
    """Check everything that is not a tensor."""

    def require(holds: bool, argument: str, expected: str, value: object) -> None:
        if not holds:
            raise ArgumentError(complaint(argument, expected=expected, got=repr(value)))

    impls = ("auto", *SPEC.implementations)
    require(impl in impls, "impl", f"one of {list(impls)}", impl)
    reduction = options["reduction"]
    require(reduction in REDUCTIONS, "reduction", f"one of {list(REDUCTIONS)}", reduction)
    smoothing = options["label_smoothing"]
    require(0.0 <= smoothing <= 1.0, "label_smoothing", "a number in [0, 1]", smoothing)
    softcap = options["softcap"]
    require(softcap is None or softcap > 0, "softcap", "a positive number or None", softcap)
    z_loss = options["z_loss"]
    require(z_loss >= 0, "z_loss", "a number >= 0", z_loss)
    unknown = [name for name in options["aux"] if name not in AUX]
    require(not unknown, "aux", f"a sequence of names among {list(AUX)}", options["aux"])
    positive = memory_budget is None or memory_budget > 0
    require(positive, "memory_budget", "a positive number of bytes or None", memory_budget)


def local_input(input: Tensor) -> Tensor:
    """The tensor behind a replicated DTensor; any other tensor as it is."""
    if not hasattr(input, "placements"):
        return input
    dtensor: Any = input
    if not all(placement.is_replicate() for placement in dtensor.placements):
        raise UnsupportedError(
            complaint(
                "input",
                expected="a tensor or a replicated DTensor",
                got=f"a DTensor placed as {dtensor.placements}",
                way_out="Call `input.redistribute(placements=[Replicate()])` first.",
            )
        )
    return dtensor.to_local()


def local_head(
    linear_weight: Tensor, linear_bias: Tensor | None, group: dist.ProcessGroup | None
) -> Head:
    """Take the local part of a DTensor head, and the group over which it is split."""
    if not hasattr(linear_weight, "placements"):
        return Head(linear_weight, linear_bias, "" if group is None else group.group_name)
    dtensor: Any = linear_weight
    placements = dtensor.placements
    bias: Any = linear_bias
    if hasattr(bias, "placements"):
        bias = bias.to_local()
    if len(placements) == 1 and placements[0].is_replicate():
        return Head(dtensor.to_local(), bias, "")
    if len(placements) != 1 or not placements[0].is_shard(0) or group is not None:
        raise UnsupportedError(
            complaint(
                "linear_weight",
                expected="a DTensor sharded on dim 0 of a one-dimensional mesh, without `group`",
                got=f"placements {placements}",
                way_out="Redistribute it, or pass its local rows and `group`.",
            )
        )
    return Head(dtensor.to_local(), bias, dtensor.device_mesh.get_group().group_name)


def autocast(input: Tensor, head: Head) -> tuple[Tensor, Head]:
    """Cast as a linear layer would under autocast; the loss stays float32."""
    kind = input.device.type
    if not torch.is_autocast_enabled(kind):
        return input, head
    dtype = torch.get_autocast_dtype(kind)
    bias = None if head.bias is None else head.bias.to(dtype)
    return input.to(dtype), replace(head, weight=head.weight.to(dtype), bias=bias)


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Keep autocast from the operator's own products: what it casts is cast, the rest is meant."""
    kind = tensor.device.type
    if not torch.is_autocast_enabled(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


def check_tensors(tensors: Mapping[str, Tensor | None], *, split: bool, impl: str) -> None:
    """Check shapes, dtypes and devices against each other; `split` is True with a group."""
    input, weight, target = tensors["input"], tensors["linear_weight"], tensors["target"]
    if input is None or weight is None or target is None:
        raise ArgumentError("`input`, `linear_weight` and `target` must be tensors, got None.")
    if input.dtype not in (_REFERENCE_FLOATS if impl == "reference" else _FLOATS):
        expected = "float32, float16 or bfloat16"
        way_out = '`impl="reference"` takes float64.' if input.dtype == torch.float64 else ""
        raise DtypeError(complaint("input", expected=expected, got=input.dtype, way_out=way_out))
    if input.dim() < 1 or weight.dim() != 2 or input.shape[-1] != weight.shape[1]:
        raise ShapeError(
            "`input` [..., D] and `linear_weight` [V, D] must share D, "
            f"got {list(input.shape)} and {list(weight.shape)}."
        )
    V = weight.shape[0]
    if V == 0:
        raise ShapeError(complaint("linear_weight", expected="at least one class", got="V = 0"))
    if target.shape != input.shape[:-1]:
        expected = f"of shape {list(input.shape[:-1])}, that of `input` without its last axis"
        raise ShapeError(complaint("target", expected=expected, got=list(target.shape)))
    if target.dtype not in (torch.int64, torch.int32):
        way_out = "Soft targets are not supported; pass class indices."
        raise DtypeError(
            complaint("target", expected="int64 or int32", got=target.dtype, way_out=way_out)
        )
    for name in ("linear_weight", "linear_bias"):
        tensor = tensors[name]
        if tensor is not None and tensor.dtype != input.dtype:
            way_out = "Cast one of them, or run under torch.autocast."
            expected = f"{input.dtype} like `input`"
            raise DtypeError(complaint(name, expected=expected, got=tensor.dtype, way_out=way_out))
    for name, size in (("linear_bias", V), ("weight", None if split else V)):
        tensor = tensors[name]
        if tensor is not None and (tensor.dim() != 1 or size not in (None, tensor.shape[0])):
            expected = f"of shape [{size or 'V'}]"
            raise ShapeError(complaint(name, expected=expected, got=list(tensor.shape)))
    token_weight = tensors["token_weight"]
    if token_weight is not None and token_weight.shape != target.shape:
        expected = f"of shape {list(target.shape)} like `target`"
        raise ShapeError(complaint("token_weight", expected=expected, got=list(token_weight.shape)))
    for name in ("weight", "token_weight"):
        tensor = tensors[name]
        if tensor is not None and not tensor.dtype.is_floating_point:
            raise DtypeError(complaint(name, expected="a floating dtype", got=tensor.dtype))
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != input.device:
            expected = f"on {input.device} like `input`"
            raise ArgumentError(complaint(name, expected=expected, got=tensor.device))


def check_budget(memory_budget: int, needed: int) -> None:
    """Refuse a budget that even the smallest tiles exceed."""
    if needed > memory_budget:
        raise ArgumentError(
            complaint(
                "memory_budget",
                expected=f"at least {needed} bytes for this problem",
                got=memory_budget,
                way_out="Pass fewer tokens at a time, or leave it out.",
            )
        )

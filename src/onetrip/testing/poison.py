"""Poisoned memory: what is allocated empty holds NaN, so that a missing store is sure to show."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_EMPTY = frozenset(
    {
        _aten.empty.memory_format,
        _aten.empty_like.default,
        _aten.empty_permuted.default,
        _aten.empty_strided.default,
        _aten.new_empty.default,
        _aten.new_empty_strided.default,
    }
)


class poisoned(TorchDispatchMode):
    """Fill what `torch.empty` and its kin return: NaN, the least integer, True.

    Fresh memory of an operating system is zero, and a caching allocator hands out old results:
    a kernel that forgets to store an element passes on both. Works on any device and in the
    backward pass too; memory that an operator of torch allocates and fills by itself stays as
    it is.

    Examples
    --------
    >>> with poisoned():
    ...     x = torch.empty(2)
    ...     n = torch.empty(1, dtype=torch.int32)
    >>> x, n
    (tensor([nan, nan]), tensor([-2147483648], dtype=torch.int32))
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in _EMPTY and isinstance(result, Tensor) and not result.is_meta:
            _fill(result)
        return result


def _fill(tensor: Tensor) -> None:
    if tensor.is_floating_point() or tensor.is_complex():
        tensor.fill_(float("nan"))
    elif tensor.dtype == torch.bool:
        tensor.fill_(True)
    else:
        tensor.fill_(torch.iinfo(tensor.dtype).min)

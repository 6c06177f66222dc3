"""Evaluate a definition in float64, whatever dtype its own lines name."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Rounding to these is how a definition computes; to eight bits or integers, what it computes.
_NARROW = frozenset({torch.float16, torch.bfloat16, torch.float32})
_CASTS = frozenset({Tensor.half, Tensor.bfloat16, Tensor.float})


class InFloat64(TorchFunctionMode):
    """Within this block every float16, bfloat16 and float32 that torch is asked for is float64.

    Casts and ``dtype=`` in a definition's own lines would round the truth otherwise.

    Examples
    --------
    >>> with InFloat64():
    ...     (torch.ones(2, dtype=torch.float64) / 3).half().dtype, torch.zeros(2).dtype
    (torch.float64, torch.float64)
    """

    def __enter__(self) -> "InFloat64":
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_default_dtype(self._default)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _CASTS:
            return args[0].double()
        args = tuple(_widened_dtype(value) for value in args)
        kwargs = {name: _widened_dtype(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)


def _widened_dtype(value: object) -> object:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value


def widened(tree: Any) -> Any:
    """The same values, floating tensors in float64; narrower than sixteen bits as they are.

    >>> widened((torch.ones(1), [torch.ones(1, dtype=torch.int64), 3]))
    (tensor([1.], dtype=torch.float64), [tensor([1]), 3])
    """
    return mapped(tree, lambda tensor: tensor.double() if tensor.dtype in _NARROW else tensor)


def copied(tree: Any) -> Any:
    """The same values in storage of their own, so that a definition may write into them."""
    return mapped(tree, lambda tensor: tensor.detach().clone())


def tensors_of(tree: Any) -> list[Tensor]:
    """All tensors of a tree, in the order of its leaves.

    >>> len(tensors_of({"a": torch.ones(1), "b": (2, [torch.ones(2)])}))
    2
    """
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(tree, note)
    return found


def mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tree of the same shape with `change` applied to its tensors."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {name: mapped(value, change) for name, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(value, change) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(value, change) for value in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        values = {
            field.name: mapped(getattr(tree, field.name), change)
            for field in dataclasses.fields(tree)
            if field.init
        }
        return dataclasses.replace(tree, **values)
    return tree

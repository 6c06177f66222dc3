"""Kernels that are launched again and again with arguments of the same kinds."""

import functools
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

# What a kernel was compiled for -> its compiled form, of all calls of this process.
_COMPILED: dict[Any, Any] = {}
# Problems whose launches are remembered.
_PROBLEMS = 256


class Launches:
    """Launches kernels, and asks at the first launch alone what a kernel is compiled for.

    Triton looks at every argument of every launch: some 40 µs a kernel, as long as a small problem
    takes on the device. The arguments of later launches must therefore be of the kinds of the
    first: the same numbers, and tensors that are aligned at least as well.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, tuple[Any, ...]]] = {}

    def __call__(self, kernel: Any, programs: int, *arguments: Any, **options: Any) -> None:
        """Launch `kernel` with its arguments; `options` are its constexprs and the compiler's."""
        key = (kernel, programs, *options.values())
        if key in self._known:
            again, constexprs = self._known[key]
            again(*arguments, *constexprs)
            return
        grid = (programs, 1, 1)
        constexprs = tuple(options[name] for name in kernel.arg_names if name in options)
        compiled_for = _compiled_for(kernel, arguments, options)
        compiled = _COMPILED.get(compiled_for)
        if compiled is None:
            compiled = kernel[grid](*arguments, **options)
            if compiled is None:  # as it is in the interpreter
                return
            if compiled_for is not None:
                _COMPILED[compiled_for] = compiled
        else:
            compiled[grid](*arguments, *constexprs)
        self._known[key] = compiled[grid], constexprs


def launches_for(*kinds: Tensor | Hashable) -> Launches:
    """The launches of a problem: those of earlier calls, where every argument is of its kind.

    `kinds` are all that the kinds of arguments follow from: sizes, and tensors that others made.
    """
    known = (_kind(each) if isinstance(each, Tensor) else each for each in kinds)
    return _of_problem(*known)


@functools.lru_cache(maxsize=_PROBLEMS)
def _of_problem(*kinds: Hashable) -> Launches:
    return Launches()


def _kind(tensor: Tensor) -> tuple[torch.dtype, bool, int]:
    """What of a tensor a kernel is compiled for, and its device."""
    return tensor.dtype, tensor.data_ptr() % 16 == 0, tensor.get_device()


def blocks(size: int, block: int) -> int:
    """How many blocks hold so many; `triton.cdiv` takes 4 µs.

    >>> blocks(65, 64)
    2
    """
    return -(-size // block)


def next_power(size: int) -> int:
    """The power of two that is as large or the next; `triton.next_power_of_2` takes 4 µs.

    >>> [next_power(size) for size in (1, 5, 8)]
    [1, 8, 8]
    """
    return 1 << (size - 1).bit_length()


def _compiled_for(kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What Triton compiles a kernel anew for, or None where an argument is of another type.

    Its rules: the dtype of a tensor and whether it begins at 16 bytes; whether an integer is 1, is
    a multiple of 16, and fits 32 bits.
    """
    kinds = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            kinds.append(_kind(argument))
        elif type(argument) is int:
            kinds.append((argument == 1, argument % 16 == 0, abs(argument) < 2**31))
        elif type(argument) is float:
            kinds.append(float)
        else:
            return None
    return (kernel, *kinds, *options.items())

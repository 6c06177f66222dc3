"""Launch kernels without Triton's look at every argument, which takes longer than they do.

Triton asks at each launch what its arguments are: 25 to 40 µs of the host, as long as a small
problem takes on the device. `launch` asks what matters alone, in some 5 µs; `Launches` asks nothing
after the first launch of a problem.
"""

import functools
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

# What a kernel was compiled for -> its compiled form and the values of its constexprs, of all calls
# of this process.
_COMPILED: dict[Any, tuple[Any, tuple[Any, ...]]] = {}
# Problems whose launches are remembered.
_PROBLEMS = 256


def launch(kernel: Any, grid: tuple[Any, ...], *arguments: Any, **options: Any) -> None:
    """Launch `kernel` on a grid; `options` are its constexprs and the compiler's, by name.

    Arguments are given in order: tensors, integers and floats, a tensor among them.
    """
    _launched(kernel, (*grid, 1, 1)[:3], arguments, options)


class Launches:
    """Launches of one problem: the first asks what a kernel is compiled for, no later one.

    The arguments of later launches must therefore be of the kinds of the first: the same numbers,
    and tensors that are aligned at least as well.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, tuple[Any, ...]]] = {}

    def __call__(self, kernel: Any, programs: int, *arguments: Any, **options: Any) -> None:
        """Launch `kernel` with its arguments; `options` are its constexprs and the compiler's."""
        # Not the kernel itself, whose hash Triton takes under a lock.
        key = (kernel.fn, programs, *options.values())
        if key in self._known:
            again, constexprs = self._known[key]
            again(*arguments, *constexprs)
            return
        grid = (programs, 1, 1)
        launched = _launched(kernel, grid, arguments, options)
        if launched is not None:
            compiled, constexprs = launched
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


def _launched(
    kernel: Any, grid: tuple[Any, ...], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, tuple[Any, ...]] | None:
    """Launch; the compiled form and the values of constexprs, or None in the interpreter."""
    compiled_for = _compiled_for(kernel, arguments, options)
    known = _COMPILED.get(compiled_for)
    if known is not None:
        compiled, constexprs = known
        compiled[grid](*arguments, *constexprs)
        return known
    compiled = kernel[grid](*arguments, **options)
    if compiled is None:  # as it is in the interpreter
        return None
    launched = compiled, tuple(options[name] for name in kernel.arg_names if name in options)
    if compiled_for is not None:
        _COMPILED[compiled_for] = launched
    return launched


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

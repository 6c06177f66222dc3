"""Guarded kernels: in Triton's interpreter, what a kernel touches must lie in its arguments."""

import bisect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor


class OutOfBoundsError(AssertionError):
    """A kernel touches memory that belongs to none of its arguments."""


class _Arguments:
    """The tensors of one launch: where the memory of each begins and ends, by address."""

    def __init__(self, kernel: str, given: Mapping[str, object]) -> None:
        self._kernel = kernel
        self._names = sorted(
            (begin, end, name) for name, value in given.items() for begin, end in _spans(value)
        )
        # Views of one storage overlap: from one's beginning to the other's end all is theirs.
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end, _ in self._names:
            if self._ends and begin < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def check(self, verb: str, addresses: Any, mask: Any, width: int) -> None:
        """All addresses that the mask lets through, each of `width` bytes, lie in one tensor."""
        touched = addresses[np.broadcast_to(mask, addresses.shape).astype(bool)]
        if not touched.size:
            return
        first, last = int(touched.min()), int(touched.max())
        at = bisect.bisect_right(self._begins, first) - 1
        if at >= 0 and last + width <= self._ends[at]:
            return
        for address in map(int, touched):
            at = bisect.bisect_right(self._begins, address) - 1
            if at < 0 or address + width > self._ends[at]:
                raise OutOfBoundsError(self._complaint(verb, address, width))

    def _complaint(self, verb: str, address: int, width: int) -> str:
        said = f"{self._kernel} {verb} {width} bytes that belong to none of its arguments"
        below = [(begin, end, name) for begin, end, name in self._names if begin <= address]
        if below:
            begin, end, name = below[-1]
            return (
                f"{said}: {address - begin} bytes from the start of {name}, which has {end - begin}"
            )
        return f"{said}: they lie before all of them"


class _Guard:
    """The interpreter's memory functions; each is asked first whether it may."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        self.arguments: _Arguments | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def load(self, addresses: Any, mask: Any, other: Any, dtype: Any) -> Any:
        self._ask("reads", addresses, mask, np.dtype(dtype).itemsize)
        return self._functions.load(addresses, mask, other, dtype)

    def store(self, addresses: Any, values: Any, mask: Any) -> Any:
        self._ask("writes", addresses, mask, values.dtype.itemsize)
        return self._functions.store(addresses, values, mask)

    def atomic_rmw(self, how: Any, addresses: Any, values: Any, mask: Any, order: Any) -> Any:
        self._ask("writes", addresses, mask, values.dtype.itemsize)
        return self._functions.atomic_rmw(how, addresses, values, mask, order)

    def atomic_cas(self, addresses: Any, compared: Any, values: Any, order: Any) -> Any:
        self._ask("writes", addresses, True, values.dtype.itemsize)
        return self._functions.atomic_cas(addresses, compared, values, order)

    def _ask(self, verb: str, addresses: Any, mask: Any, width: int) -> None:
        if self.arguments is not None:
            self.arguments.check(verb, addresses, mask, width)


def guard_bounds() -> None:
    """Let kernels fail in Triton's interpreter where they touch what is not theirs.

    A load or a store that its mask should have stopped reads or overwrites a neighbour in memory:
    a test passes, or fails once in a while and elsewhere. From here on, of this process, every
    interpreted kernel raises instead; call it once, before any kernel runs.

    Raises
    ------
    OutOfBoundsError
        In a kernel, as the text of Triton's InterpreterError: which kernel, how many bytes, how far
        from the start of which argument.
    """
    from triton.runtime import interpreter

    guard = _Guard(interpreter._interpreter)
    launch = interpreter.GridExecutor.__call__

    def launch_guarded(self: Any, *arguments: Any, **named: Any) -> None:
        outer = guard.arguments
        given = dict(zip(self.arg_names, arguments, strict=False)) | named
        guard.arguments = _Arguments(self.fn.__name__, given)
        try:
            launch(self, *arguments, **named)
        finally:
            guard.arguments = outer

    interpreter._interpreter = guard
    interpreter.GridExecutor.__call__ = launch_guarded


def _spans(value: object) -> Iterator[tuple[int, int]]:
    """Addresses of the first byte of tensors in an argument, and of the one after the last."""
    if isinstance(value, tuple):
        for part in value:
            yield from _spans(part)
        return
    tensor = getattr(value, "base", value)  # a tensor descriptor has one
    if isinstance(tensor, Tensor) and tensor.numel():
        last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        yield tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()

"""Kernels that are launched again and again with arguments of the same kinds."""

from typing import Any


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
        compiled = kernel[grid](*arguments, **options)
        if compiled is not None:  # as it is in the interpreter
            constexprs = tuple(options[name] for name in kernel.arg_names if name in options)
            self._known[key] = compiled[grid], constexprs

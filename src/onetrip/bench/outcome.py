"""What became of a contender that did not finish: failures are data, each with its reason."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from types import TracebackType

import torch

from onetrip.core.errors import MissingDependencyError, UnsupportedError

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a contender has no result.

    `outcome` is "unsupported", "out_of_memory", "compile_error" or "crashed".
    """

    outcome: str
    reason: str


class catching:
    """Record what a block raises in ``failures[name]``, and go on after it.

    A benchmark runs other people's code, which may raise anything: one contender's exception
    must not take the others with it. It is never lost: it stands beside the contender's name.
    `KeyboardInterrupt` and its like pass through.

    >>> failures = {}
    >>> with catching(failures, "peer"):
    ...     raise ValueError("N must be a multiple of 8")
    >>> failures["peer"]
    Failure(outcome='crashed', reason='ValueError: N must be a multiple of 8')
    """

    def __init__(self, failures: MutableMapping[str, Failure], name: str) -> None:
        self._failures = failures
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._failures[self._name] = failure_of(error)
        return True


def failure_of(error: Exception) -> Failure:
    """Sort one exception into an outcome, and shorten its message to a reason."""
    text = " ".join(str(error).split())
    if len(text) > _LONGEST_REASON:
        text = text[: _LONGEST_REASON - 1] + "…"
    if isinstance(error, UnsupportedError | MissingDependencyError):
        return Failure("unsupported", text)
    # torch's CPU allocator raises a plain RuntimeError.
    short = any(words in text.lower() for words in ("out of memory", "can't allocate memory"))
    if short or isinstance(error, torch.OutOfMemoryError | MemoryError):
        return Failure("out_of_memory", text)
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    # By name: Triton may be missing, and it moves these classes between releases.
    compiler = {"CompilationError", "OutOfResources", "PassManagerError", "BackendCompilerFailed"}
    if compiler & {base.__name__ for base in type(error).__mro__}:
        return Failure("compile_error", reason)
    return Failure("crashed", reason)

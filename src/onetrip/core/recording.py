"""The hook through which operators tell a recorder what they were called with.

With no recorder attached it costs one attribute read. `onetrip.record` attaches recorders; an
operator's public function says, after its checks::

    if recording.active():
        recording.note("linear_cross_entropy", tensors, options)
"""

import threading
from collections.abc import Mapping
from typing import Protocol


class Recorder(Protocol):
    """What `attach` takes."""

    def take(
        self, operator: str, tensors: Mapping[str, object], options: Mapping[str, object]
    ) -> None:
        """Take one call; runs in the thread that made it."""
        ...


class _Attached:
    """The recorders of this process. A tuple that is replaced: readers need no lock."""

    recorders: tuple[Recorder, ...] = ()


_LOCK = threading.Lock()


def active() -> bool:
    """Whether any recorder listens.

    >>> active()
    False
    """
    return bool(_Attached.recorders)


def note(operator: str, tensors: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Tell every recorder of one call.

    Parameters
    ----------
    operator : the operator's name.
    tensors : name in the operator's spec -> tensor; optional tensors that were left out are
        left out here, or None.
    options : the other keyword arguments that change the work, plain values.
    """
    for recorder in _Attached.recorders:
        recorder.take(operator, tensors, options)


def attach(recorder: Recorder) -> None:
    """Let `recorder` take every call of this process, from all threads."""
    with _LOCK:
        _Attached.recorders = (*_Attached.recorders, recorder)


def detach(recorder: Recorder) -> None:
    """Let `recorder` take no more calls."""
    with _LOCK:
        _Attached.recorders = tuple(r for r in _Attached.recorders if r is not recorder)

"""Targets out of range: an error at once on a CPU, and without waiting for it on a GPU."""

import collections
import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint

MODES = ("deferred", "immediate", "off")
_mode = "deferred"
_pending: collections.deque[tuple[Tensor, torch.cuda.Event, int]] = collections.deque()


@contextlib.contextmanager
def target_checks(mode: str) -> Iterator[None]:
    """Choose how targets out of range are reported while the block runs.

    On a CPU they always raise. On a GPU the loss of such a token is NaN whatever the mode.

    Parameters
    ----------
    mode : {"deferred", "immediate", "off"}
        "deferred" (the default) copies one number to the host without waiting for it, and the
        next call raises; "immediate" waits and raises in the call itself; "off" does neither.

    Examples
    --------
    >>> import onetrip
    >>> with onetrip.target_checks("immediate"):
    ...     pass
    """
    global _mode
    if mode not in MODES:
        raise ArgumentError(complaint("mode", expected=f"one of {list(MODES)}", got=repr(mode)))
    before, _mode = _mode, mode
    try:
        yield
    finally:
        _mode = before


def check_targets(bad: Tensor, V: int) -> None:
    """Report rows that are flagged in `bad` [N] as the mode asks."""
    if bad.device.type == "cpu":
        if bool(bad.any()):
            raise _error(int(bad.sum()), V, "")
        return
    if _mode == "off" or torch.cuda.is_current_stream_capturing():
        return
    if _mode == "immediate":
        count = int(bad.sum())
        if count:
            raise _error(count, V, "")
        return
    raise_pending()
    count = torch.empty(1, dtype=torch.int64, pin_memory=True)
    count.copy_(bad.sum(), non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    _pending.append((count, event, V))


def raise_pending() -> None:
    """Raise for an earlier call whose count has arrived and is not zero."""
    while _pending and _pending[0][1].query():
        count, _, V = _pending.popleft()
        if int(count):
            raise _error(int(count), V, " of an earlier call")


def _error(count: int, V: int, when: str) -> ArgumentError:
    return ArgumentError(
        complaint(
            "target",
            expected=f"a class in [0, {V}) or the ignore index",
            got=f"{count} target(s){when} out of that range",
            way_out="Pass the padding value as `ignore_index`, or check the tokeniser's size.",
        )
    )

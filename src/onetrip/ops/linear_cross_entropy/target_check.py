"""Targets out of range: an error at once on a CPU, and without waiting for it on a GPU."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint

MODES = ("deferred", "immediate", "off")
_mode = "deferred"


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


class _Counter:
    """Bad targets of one GPU since the last report: a number there, and its copy on the host.

    The copy is made in stream order and never waited for. Reading it early reads an older number,
    which a later call then finds grown.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_device = torch.zeros(1, dtype=torch.int32, device=device)
        self.on_host = torch.zeros(1, dtype=torch.int32).pin_memory()

    def report(self, V: int) -> None:
        """Raise for an earlier call's count, once."""
        count = int(self.on_host)
        if count:
            torch.cuda.synchronize(self.on_device.device)
            self.on_device.zero_()
            self.on_host.zero_()
            raise _error(count, V, " of an earlier call")


_counters: dict[torch.device, _Counter] = {}


def device_count(device: torch.device, V: int) -> Tensor:
    """The counter to which a kernel adds its bad targets; raises for those of earlier calls."""
    if _mode != "deferred" or torch.cuda.is_current_stream_capturing():
        return torch.zeros(1, dtype=torch.int32, device=device)
    if device not in _counters:
        _counters[device] = _Counter(device)
    counter = _counters[device]
    counter.report(V)
    return counter.on_device


def counted(count: Tensor, V: int) -> None:
    """Report what a kernel has added to `device_count`, as the mode asks."""
    if _mode == "off" or torch.cuda.is_current_stream_capturing():
        return
    if _mode == "deferred":
        _counters[count.device].on_host.copy_(count, non_blocking=True)
    elif int(count):
        raise _error(int(count), V, "")


def check_targets(count: Tensor, V: int) -> None:
    """Report a count of bad targets that torch made."""
    if count.device.type == "cpu":
        if int(count):
            raise _error(int(count), V, "")
        return
    total = device_count(count.device, V)
    total += count
    counted(total, V)


def _error(count: int, V: int, when: str) -> ArgumentError:
    return ArgumentError(
        complaint(
            "target",
            expected=f"a class in [0, {V}) or the ignore index",
            got=f"{count} target(s){when} out of that range",
            way_out="Pass the padding value as `ignore_index`, or check the tokeniser's size.",
        )
    )

"""What the machine does right now, device by device.

A reader is a function that takes a look and returns samples. A sample's `values` hold, as far as
the device tells: ``name``, ``utilisation`` (0 to 1), ``memory_bytes``, ``memory_total_bytes``,
``sm_clock_mhz``, ``power_w``, ``power_limit_w``, ``temperature_c``, ``throttle`` (words; empty
when at full speed) and ``processes`` (``pid``, ``name``, ``memory_bytes``).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one device; `at` is a whole second, so that two lookers agree on the row."""

    at: float
    host: str
    device: str
    values: Mapping[str, object]


Reader = Callable[[], Sequence[tuple[str, Mapping[str, object]]]]


def open_readers(stack: ExitStack) -> list[Reader]:
    """The readers of this machine: its GPUs' when their libraries are there, and the host's."""
    from onetrip.lab.web.devices import amd, host, nvidia

    found = [module.open_reader(stack) for module in (nvidia, amd)]
    return [reader for reader in found if reader is not None] + [host.read]

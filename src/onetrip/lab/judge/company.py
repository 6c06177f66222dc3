"""Processes that a contender started beside its own: who they are, and when they work."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from onetrip.lab.sandbox.processes import census


@dataclass(slots=True)
class Company:
    """What runs below `root_pids`, the processes of ours around one contender.

    `at_first` are the processes that were there before anything of the contender was loaded;
    `others` those that came since. `ahead_ns` is what the others worked while the contender had
    its inputs and the clock stood still.
    """

    root_pids: tuple[int, ...]
    at_first: frozenset[int] = frozenset()
    others: frozenset[int] = frozenset()
    ahead_ns: int = 0
    _since_ns: int = field(default=0)

    def remember(self) -> None:
        """Note who is there at first."""
        self.at_first = frozenset(census(*self.root_pids).pids)

    def look(self) -> None:
        """Note who is there now."""
        self.others = frozenset(census(*self.root_pids).pids) - self.at_first

    def inputs_arrive(self) -> None:
        """The clock stands still from here."""
        self._since_ns = cpu_time_ns(self.others)

    def call_begins(self) -> None:
        """To here."""
        self.ahead_ns += max(0, cpu_time_ns(self.others) - self._since_ns)


def cpu_time_ns(pids: Iterable[int]) -> int:
    """Processor time of some processes; those that are gone count nothing.

    >>> cpu_time_ns([]), cpu_time_ns([os.getpid()]) >= 0
    (0, True)
    """
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

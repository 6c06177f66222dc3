"""What a sandboxed process may have, and how it may break out of its measure."""

from dataclasses import dataclass
from pathlib import Path

from onetrip.core.errors import ArgumentError, complaint

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Walls:
    """What one sandboxed process, with all that it starts, may use.

    Parameters
    ----------
    read_only : files and folders that it may read, beside the interpreter, its packages,
        onetrip's own source and the system's libraries.
    scratch_bytes : size of the only folder that it may write.
    memory_bytes : what its processes may hold together.
    processes : how many processes and threads it may have at a time.
    cpu_seconds : processor time of each of its processes.
    device : "cpu", or "cuda:0" to let the accelerator's files in.
    """

    read_only: tuple[Path, ...] = ()
    scratch_bytes: int = 256 * _MIB
    memory_bytes: int = 8192 * _MIB
    processes: int = 512
    cpu_seconds: int = 600
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse limits under which nothing can start."""
        least = {
            "scratch_bytes": _MIB,
            "memory_bytes": 64 * _MIB,
            "processes": 4,
            "cpu_seconds": 1,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ArgumentError(
                    complaint(name, expected=f"at least {smallest}", got=getattr(self, name))
                )

    @property
    def on_accelerator(self) -> bool:
        """Whether the device has files of its own under /dev."""
        return self.device != "cpu"


@dataclass(frozen=True, slots=True)
class Breach:
    """A wall that was run into: "memory", "processes" or "scratch", and what was seen."""

    wall: str
    what: str


@dataclass(frozen=True, slots=True)
class Level:
    """A kind of wall: its name, what it leaves open, and why a stronger kind is not to be had."""

    name: str
    lacks: tuple[str, ...] = ()
    why_not_stronger: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence for a person."""
        reasons = "; ".join((*self.lacks, *self.why_not_stronger))
        return f"{self.name} ({reasons})" if reasons else self.name

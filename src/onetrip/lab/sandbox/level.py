"""How strong the walls are on this machine: found by building them once, not by guessing."""

import subprocess
from dataclasses import dataclass
from functools import cache

NAMES = ("bubblewrap", "landlock", "limits")

_TRIAL_S = 20.0
_WORDS = 300


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


@cache
def level() -> Level:
    """The strongest level that works here.

    >>> level().name in ("bubblewrap", "landlock", "limits")
    True
    """
    why_not = []
    for name in NAMES[:-1]:
        reason = why_unavailable(name)
        if reason is None:
            return Level(name, _lacks(name), tuple(why_not))
        why_not.append(f"{name}: {reason}")
    return Level("limits", _lacks("limits"), tuple(why_not))


@cache
def why_unavailable(name: str) -> str | None:
    """Why this level cannot be had here; None if it can."""
    from onetrip.lab.sandbox import bubblewrap, landlock

    if name == "bubblewrap" and bubblewrap.program() is None:
        return "bwrap is not installed"
    if name == "landlock" and landlock.version() == 0:
        return "this kernel has none"
    from onetrip.lab.sandbox.enclosure import enclose
    from onetrip.lab.sandbox.walls import Walls

    with enclose(("true",), Walls(), level=Level(name)) as enclosed:
        try:
            done = subprocess.run(
                enclosed.command,
                env=dict(enclosed.environment),
                cwd=enclosed.cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TRIAL_S,
            )
        except subprocess.TimeoutExpired:
            return f"it did not start within {_TRIAL_S:.0f} s"
    if done.returncode == 0:
        return None
    return done.stderr.strip()[-_WORDS:] or f"exit code {done.returncode}"


def _lacks(name: str) -> tuple[str, ...]:
    from onetrip.lab.sandbox import landlock

    if name == "bubblewrap":
        return ()
    if name == "landlock":
        return landlock.lacks(landlock.version())
    return ("files of the same user can be read and written", "the network is open")

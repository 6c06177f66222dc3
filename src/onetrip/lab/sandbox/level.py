"""How strong the walls are on this machine: found by building them once, not by guessing."""

import subprocess
from functools import cache

from onetrip.lab.sandbox import bubblewrap, landlock
from onetrip.lab.sandbox.enclosure import enclose
from onetrip.lab.sandbox.walls import Level, Walls

NAMES = ("bubblewrap", "landlock", "limits")

_TRIAL_S = 20.0
_WORDS = 300


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
    if name == "bubblewrap" and bubblewrap.program() is None:
        return "bwrap is not installed"
    if name == "landlock" and landlock.version() == 0:
        return "this kernel has none"
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
    if name == "bubblewrap":
        return ()
    if name == "landlock":
        return landlock.lacks(landlock.version())
    return ("files of the same user can be read and written", "the network is open")

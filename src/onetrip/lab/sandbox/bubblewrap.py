"""A room of its own by bubblewrap: new namespaces, and a file system made of read-only binds."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from onetrip.lab.sandbox import readable
from onetrip.lab.sandbox.walls import Walls

SCRATCH = Path("/scratch")

_SHARED_MEMORY_BYTES = 64 << 20
_ISOLATION = (
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
    "--unshare-cgroup-try",
    # No further user namespace inside: most holes of the kernel are behind one.
    "--disable-userns",
    "--cap-drop",
    "ALL",
    "--hostname",
    "sandbox",
    "--die-with-parent",
    "--new-session",
)


def program() -> str | None:
    """Path of bubblewrap, if it is installed."""
    return shutil.which("bwrap")


def bubblewrap(command: Sequence[str], walls: Walls) -> list[str]:
    """The command line that runs `command` inside; `SCRATCH` is its folder."""
    line = [program() or "bwrap", *_ISOLATION]
    for path in readable.system_paths():
        line += _same_place(path)
    # Order matters: a mount hides what was mounted below it before.
    line += ["--proc", "/proc", "--dev", "/dev"]
    line += ["--size", str(min(walls.scratch_bytes, _SHARED_MEMORY_BYTES)), "--tmpfs", "/dev/shm"]
    if walls.on_accelerator:
        for path in readable.accelerator_files():
            line += ["--dev-bind-try", str(path), str(path)]
    for path in (
        readable.kernel_facts(accelerator=walls.on_accelerator),
        *readable.interpreter_paths(),
        *walls.read_only,
    ):
        line += ["--ro-bind-try", str(path), str(path)]
    line += ["--size", str(walls.scratch_bytes), "--tmpfs", str(SCRATCH), "--chdir", str(SCRATCH)]
    # The root and /dev are memory too, and have no size. Settings of the kernel under /proc may be
    # written by the superuser's id alone, without any capability.
    for path in ("/proc", "/dev", "/"):
        line += ["--remount-ro", path]
    return [*line, "--", *command]


def _same_place(path: Path) -> list[str]:
    if path.is_symlink() and path.parent == Path("/"):
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]

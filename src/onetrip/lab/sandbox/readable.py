"""Which files of this machine an interpreter with torch needs to read; everything else is hidden.

Home folders, the lab's database, problems and their references are not among them.
"""

import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from onetrip.lab.sandbox.environment import import_folders

# Of /etc only what the loader and the clock read: no users, no keys, no host names.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    # Drivers and toolkits that are installed by hand.
    "/opt/cuda",
    "/opt/rocm",
)
_PROCESSORS = "/sys/devices/system"
_ACCELERATOR_FACTS = "/sys"
_ACCELERATOR_FILES = ("nvidia*", "nvidia-caps", "kfd", "dri")


def system_paths() -> tuple[Path, ...]:
    """Libraries and programs of the system."""
    return tuple(path for path in map(Path, _SYSTEM) if path.exists() or path.is_symlink())


def interpreter_paths() -> tuple[Path, ...]:
    """The interpreter, its standard library and packages, and onetrip's source."""
    wanted = [
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.executable).resolve().parent,
        *(
            Path(sysconfig.get_paths()[name])
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
        *import_folders(),
    ]
    return _outermost(path for path in wanted if path.exists())


def kernel_facts(*, accelerator: bool) -> Path:
    """What the kernel tells of processors; of every device where an accelerator is used."""
    return Path(_ACCELERATOR_FACTS if accelerator else _PROCESSORS)


def accelerator_files() -> tuple[Path, ...]:
    """Device files of NVIDIA and AMD accelerators that exist here."""
    found = {path for pattern in _ACCELERATOR_FILES for path in Path("/dev").glob(pattern)}
    return tuple(sorted(found))


def _outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Without those that lie inside another."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(outer) for outer in kept):
            kept.append(path)
    return tuple(kept)

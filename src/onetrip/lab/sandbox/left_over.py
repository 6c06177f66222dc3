"""Names for what a sandbox leaves on the machine, and its removal when a lab was killed first."""

import os
import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

_PREFIX = "onetrip-sandbox"
# A lab in another PID namespace may share the folder: its processes look dead from here.
_SURELY_OVER_S = 3600.0


def fresh_name() -> str:
    """A name that tells who made the thing: this process."""
    return f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(8)}"


def sweep(folders: Iterable[Path], *, over_s: float = _SURELY_OVER_S) -> list[Path]:
    """Remove from `folders` what labs left there that are gone for `over_s`; say what went."""
    swept = []
    for folder in folders:
        for path in folder.glob(f"{_PREFIX}-*-*"):
            maker = path.name.split("-")[2]
            if maker.isdigit() and not Path("/proc", maker).exists() and _age_s(path) > over_s:
                _remove(path)
                swept.append(path)
    return swept


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    try:
        # A control group is removed as a folder: the files in it are the kernel's.
        path.rmdir()
    except OSError:
        shutil.rmtree(path, ignore_errors=True)

"""What a measurement depends on besides the code that it measures: one block, in every result."""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

import onetrip
from onetrip.tile.problem import problem_on

_PACKAGE = Path(onetrip.__file__).parent
# What a time depends on besides the code under test.
_HARNESS = ("bench/timing.py", "bench/side_by_side.py", "bench/gate.py", "testing/budget.py")
# Query -> our name; `nvidia-smi` only reads here.
_GPU_FACTS = {
    "driver_version": "driver",
    "clocks.sm": "clock_sm_mhz",
    "clocks.mem": "clock_memory_mhz",
    "clocks.max.sm": "clock_sm_max_mhz",
    "power.limit": "power_limit_w",
    "temperature.gpu": "temperature_c",
}


def environment(device: str | torch.device = "cpu") -> dict[str, object]:
    """Describe device, versions, code and time.

    Parameters
    ----------
    device : where the measurement runs.

    Returns
    -------
    dict
        Plain values for JSON. `revision` is the checkout's commit, with a plus sign when the tree
        differs from it, or None outside a checkout; `source_hash` covers the whole package, and
        `harness_hash` the code that measures.

    Examples
    --------
    >>> environment("cpu")["device"]
    'cpu'
    """
    device = torch.device(device)
    gpu = _gpu_facts(device) if device.type == "cuda" else {}
    return {
        "device": problem_on(device, {}, "float32").device_name,
        **gpu,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "cuda": torch.version.cuda or torch.version.hip,
        "onetrip": onetrip.__version__,
        "revision": _revision(),
        "source_hash": hash_of(sorted(_PACKAGE.rglob("*.py"))),
        "harness_hash": hash_of(_PACKAGE / name for name in _HARNESS),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def hash_of(files: Iterable[Path]) -> str:
    """Twelve digits that change when a file's name or a byte of it does.

    >>> len(hash_of([Path(onetrip.__file__)]))
    12
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def command_line() -> str:
    """The command that is running, without the path of the interpreter.

    >>> isinstance(command_line(), str)
    True
    """
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_facts(device: torch.device) -> dict[str, object]:
    answer = _output(
        "nvidia-smi",
        f"--id={device.index or 0}",
        f"--query-gpu={','.join(_GPU_FACTS)}",
        "--format=csv,noheader,nounits",
    )
    if not answer:
        return {}
    values = (value.strip() for value in answer.splitlines()[0].split(","))
    return {
        name: float(value) if value.replace(".", "", 1).isdecimal() else value
        for name, value in zip(_GPU_FACTS.values(), values, strict=False)
    }


def _revision() -> str | None:
    commit = _output("git", "-C", str(_PACKAGE), "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _output("git", "-C", str(_PACKAGE), "status", "--porcelain", "--", str(_PACKAGE))
    return commit + ("+" if changed else "")


def _output(*command: str) -> str | None:
    """What a command prints, or None when there is no such command or it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None

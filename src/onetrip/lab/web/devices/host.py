"""The processor and the memory of this machine."""

import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import psutil


def read() -> Sequence[tuple[str, Mapping[str, object]]]:
    """One look; the utilisation is that since the look before."""
    memory = psutil.virtual_memory()
    values: dict[str, object] = {
        "name": _name(),
        "utilisation": psutil.cpu_percent() / 100,
        "memory_bytes": memory.total - memory.available,
        "memory_total_bytes": memory.total,
        "cores": os.cpu_count() or 1,
        "throttle": [],
        "processes": [],
    }
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    if frequency is not None and frequency.current:
        values["sm_clock_mhz"] = round(frequency.current)
    if hasattr(os, "getloadavg"):
        values["load_1min"] = round(os.getloadavg()[0], 2)
    return [("cpu", values)]


@cache
def _name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.machine()

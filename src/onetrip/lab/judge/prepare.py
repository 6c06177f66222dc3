"""Make the problem, once, and look at the machine: the worker's first task in a tune."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from onetrip.bench.environment import environment
from onetrip.bench.problems import problem_names, resolve
from onetrip.bench.roofline import measure_ceilings
from onetrip.core.errors import UnsupportedError
from onetrip.core.selection import Problem
from onetrip.lab.judge.failure import Stage
from onetrip.lab.judge.job import ANY_DEVICE, ProblemRef
from onetrip.tile.problem import problem_on

# What is left free for the system and for everybody else.
_FREE_SHARE = 0.8
_CEILING_SECONDS = 0.5


def run(document: Mapping, stage: Stage) -> dict[str, object]:
    """Answer with the problem, the device's ceilings measured now, and the environment."""
    ref = ProblemRef(**document["problem"])
    device = _device(ref.device_kind)
    stage("reading the problem")
    made = resolve(ref.operator, workload=_workload(ref, device), recorded=ref.recorded)
    made.prepare(stage.progress)
    workload = made.workload
    problem = problem_on(device, workload.axes, workload.dtype, workload.options)
    # Before the ceilings: what they allocate stays with this process.
    memory_bytes = _free_bytes(device)
    stage("measuring the device's ceilings")
    dtypes = tuple(dict.fromkeys((workload.dtype, "float64")))
    ceilings = measure_ceilings(device, dtypes=dtypes, seconds_each=_CEILING_SECONDS)
    return {
        "workload": workload.name,
        "source": "workload" if ref.recorded is None else Path(ref.recorded).name,
        # A recorded file's name may come to hold another run.
        "key": "" if ref.recorded is None else _sha256(Path(ref.recorded)),
        "problem": {name: getattr(problem, name) for name in Problem.__slots__}
        | {"axes": dict(problem.axes), "options": dict(problem.options)},
        "device": ceilings.as_dict(),
        "environment": environment(device),
        "memory_bytes": memory_bytes,
    }


def _device(kind: str) -> str:
    has_gpu = torch.cuda.is_available()
    if kind == "cuda" and not has_gpu:
        raise UnsupportedError(
            "`--device cuda` needs a GPU that this torch can use; `onetrip doctor` says what it "
            "sees. Tune the CPU's implementations with --device cpu."
        )
    if kind == ANY_DEVICE:
        return "cuda" if has_gpu else "cpu"
    return kind


def _workload(ref: ProblemRef, device: str) -> str | None:
    """The named one; else the operator's default, in the size for a device where there is one."""
    if ref.workload is not None or ref.recorded is not None:
        return ref.workload
    names = problem_names(ref.operator)
    larger = f"{names[0]}-device"
    return larger if device == "cuda" and larger in names else names[0]


def _free_bytes(device: str) -> int | None:
    if device == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info()
        return int(free_bytes * _FREE_SHARE)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        total_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(total_bytes * _FREE_SHARE / 2)
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(int(available.split()[1]) * 1024 * _FREE_SHARE)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

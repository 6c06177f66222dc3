"""Ceilings of this machine's devices, measured: a large copy and large matrix products."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from onetrip.bench.timing import interleaved
from onetrip.core import settings
from onetrip.core.device import Device, measured_path, short_name
from onetrip.core.errors import UnsupportedError
from onetrip.tile.problem import problem_on

DTYPES = ("bfloat16", "float16", "float32", "float64")
_HALF = ("bfloat16", "float16")
_SAMPLES = 10


def measure_ceilings(
    device: str | torch.device = "cpu",
    *,
    dtypes: Sequence[str] = DTYPES,
    seconds_each: float = 2.0,
) -> Device:
    """Measure bandwidth and matrix rates, interleaved, on random data.

    Parameters
    ----------
    device : which to measure.
    dtypes : of the matrix products; one that the device cannot multiply is left out. float32
        products are made without TF32.
    seconds_each : time of each ceiling beyond a handful of samples.

    Returns
    -------
    Device
        `bandwidth_gbps` counts bytes read and written.

    Examples
    --------
    >>> device = measure_ceilings("cpu", dtypes=("float32",), seconds_each=0.1)
    >>> device.bandwidth_gbps > 0 and device.tflops["float32"] > 0
    True
    """
    device = torch.device(device)
    copy_bytes = _copy_bytes(device)
    source = torch.ones(copy_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    calls = {"copy": lambda: target.copy_(source)}
    sides = {dtype: _side(device, dtype) for dtype in dtypes}
    for dtype, side in sides.items():
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
        calls[dtype] = lambda a=a, b=b: torch.mm(a, b)
    with full_float32():
        report = interleaved(
            calls, device=device, samples=_SAMPLES, seconds_each=seconds_each, memory=False
        )
    if "copy" in report.failures:
        raise UnsupportedError(f"{device} cannot be measured: {report.failures['copy'].reason}")
    # The fastest sample: a ceiling is what other work on the machine did not get in the way of.
    best_ms = {name: min(timing.samples_ms) for name, timing in report.timings.items()}
    problem = problem_on(device, {}, "float32")
    return Device(
        name=short_name(problem.device_name),
        kind="hip" if problem.hip else problem.device_kind,
        arch=problem.arch,
        tflops={
            dtype: 2 * side**3 / best_ms[dtype] * 1e-9
            for dtype, side in sides.items()
            if dtype in best_ms
        },
        bandwidth_gbps=2 * copy_bytes / best_ms["copy"] * 1e-6,
        memory_bytes=memory_bytes(device),
        measured=True,
        source=f"{problem.device_name}: copy of {copy_bytes >> 20} MiB and products of side "
        f"{max(sides.values(), default=0)}, torch {torch.__version__}",
    )


def save_ceilings(device: Device, driver_name: str) -> Path:
    """Keep measured ceilings where `core.device.find_device` looks for them."""
    path = measured_path(driver_name)
    settings.make_folder(path.parent)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(device.as_dict(), file, indent=1)
        file.write("\n")
    os.replace(aside, path)
    return path


@contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 as float32, not as TF32, within a block.

    >>> with full_float32():
    ...     torch.get_float32_matmul_precision()
    'highest'
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _side(device: torch.device, dtype: str) -> int:
    if device.type != "cuda":
        return 1024
    return 8192 if dtype in _HALF else 4096


def _copy_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return 256 << 20
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return min(4 << 30, free_bytes // 4)


def memory_bytes(device: str | torch.device) -> int:
    """Memory of a device, or of this machine, in bytes."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

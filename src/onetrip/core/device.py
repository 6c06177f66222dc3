"""Ceilings of devices: measured where we could measure, with the source of each number."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType

from onetrip.core import settings
from onetrip.core.errors import ArgumentError, DataError, complaint


@dataclass(frozen=True, slots=True)
class Device:
    """One device's ceilings.

    `tflops` holds the rate of a large dense matrix product on random data for each dtype, in
    10¹² operations a second; `bandwidth_gbps` a large copy, bytes read plus bytes written, in
    10⁹ bytes a second; `arch` is 90 for sm_90, 0 for a CPU.
    """

    name: str
    kind: str
    arch: int
    tflops: Mapping[str, float]
    bandwidth_gbps: float
    memory_bytes: int
    measured: bool
    source: str

    def tflops_for(self, dtype: str) -> float:
        """Matrix rate for `dtype`; the slowest known one when `dtype` was not measured.

        Where there are no products in TF32 ("tfloat32"), those in float32 stand for them.
        """
        if dtype == "tfloat32" and dtype not in self.tflops:
            dtype = "float32"
        return self.tflops.get(dtype) or min(self.tflops.values())

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        plain: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"tflops": dict(self.tflops)}


def _rates(**tflops: float) -> Mapping[str, float]:
    return MappingProxyType(tflops)


_GIB = 2**30

DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            Device(
                "h100",
                "cuda",
                90,
                _rates(bfloat16=798.0, float16=798.0, tfloat32=399.0, float32=51.0, float64=60.0),
                3000.0,
                79 * _GIB,
                measured=True,
                source="H100 80GB HBM3: 8192³ bf16 product and 8 GB copy, torch 2.11 (float32, "
                "float64: datasheet 67 scaled by the same share, 67; tfloat32: half of bf16)",
            ),
            Device(
                "h200",
                "cuda",
                90,
                _rates(bfloat16=788.0, float16=788.0, tfloat32=394.0, float32=51.0, float64=60.0),
                4300.0,
                140 * _GIB,
                measured=True,
                source="H200: 8192³ bf16 product and 8.6 GB copy, torch 2.11 (tfloat32: half)",
            ),
            Device(
                "a100",
                "cuda",
                80,
                _rates(bfloat16=312.0, float16=312.0, tfloat32=156.0, float32=19.5, float64=19.5),
                2039.0,
                80 * _GIB,
                measured=False,
                source="NVIDIA A100 80GB datasheet, dense",
            ),
            Device(
                "b200",
                "cuda",
                100,
                _rates(
                    bfloat16=2250.0, float16=2250.0, tfloat32=1125.0, float32=75.0, float64=37.0
                ),
                8000.0,
                180 * _GIB,
                measured=False,
                source="NVIDIA B200 datasheet, dense",
            ),
            Device(
                "mi300x",
                "hip",
                942,
                _rates(
                    bfloat16=1307.0, float16=1307.0, tfloat32=653.0, float32=163.4, float64=163.4
                ),
                5300.0,
                192 * _GIB,
                measured=False,
                source="AMD Instinct MI300X datasheet, dense",
            ),
        )
    }
)


def find_device(name: str) -> Device:
    """Look up a device by its short name or by the name that its driver reports.

    What `onetrip doctor --measure` found on this machine wins over the table, except where the
    table's own short name is asked for. A CPU that was not measured gets ceilings that no CPU of
    as many cores exceeds.

    >>> find_device("NVIDIA H100 80GB HBM3").name
    'h100'
    """
    name = str(name)  # A torch.device says what it is called.
    lowered = name.lower()
    if lowered in DEVICES:
        return DEVICES[lowered]
    measured = read_measured(name)
    if measured is not None:
        return measured
    if short_name(name) in DEVICES:
        return DEVICES[short_name(name)]
    if lowered == "cpu":
        return _any_cpu()
    way_out = "Measure your own device with `onetrip doctor --measure`."
    raise ArgumentError(
        complaint(
            "device",
            expected=f"one of {sorted([*DEVICES, 'cpu'])}",
            got=repr(name),
            way_out=way_out,
        )
    )


def _any_cpu() -> Device:
    """What no CPU with this machine's cores exceeds: for floors that hold without a measurement."""
    cores = os.cpu_count() or 1
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Device(
        "cpu",
        "cpu",
        0,
        # Two units of 16 numbers at 4 GHz; tiles of products in half precision at 2,048 a cycle.
        _rates(
            **{"float32": 0.256 * cores, "float64": 0.128 * cores},
            **{"bfloat16": 8.0 * cores, "float16": 8.0 * cores},
        ),
        100.0 * cores,
        memory_bytes,
        measured=False,
        source=f"at most, of {cores} cores; `onetrip doctor --measure` finds this machine's own",
    )


def short_name(driver_name: str) -> str:
    """Name that results and tables use: "h100" for "NVIDIA H100 80GB HBM3".

    >>> short_name("NVIDIA H100 80GB HBM3"), short_name("cpu")
    ('h100', 'cpu')
    """
    words = driver_name.lower().replace("-", " ").split()
    return next((name for name in DEVICES if name in words), driver_name)


def file_key(device_name: str) -> str:
    """What files about a device are called.

    >>> file_key("NVIDIA H100 80GB HBM3")
    'nvidia-h100-80gb-hbm3'
    """
    return re.sub(r"[^a-z0-9]+", "-", device_name.lower()).strip("-") or "unknown"


def measured_path(name: str) -> Path:
    """Where the measured ceilings of the device that its driver calls `name` are kept."""
    return settings.cache_dir() / "devices" / f"{file_key(name)}.json"


def read_measured(name: str) -> Device | None:
    """Ceilings that were measured on this machine, or None."""
    path = measured_path(name)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Device(**{**values, "tflops": _rates(**values["tflops"])})
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"Measured ceilings {path} are not readable ({error}). "
            "Delete the file and run `onetrip doctor --measure` again."
        ) from error

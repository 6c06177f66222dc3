"""AMD's GPUs, by the library that comes with ROCm. Only reads: nothing here changes a setting."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from onetrip.lab.web.devices import Reader
from onetrip.lab.web.devices.processes import process_name

_THROTTLED = ("THROTTLED", True, 1)


def open_reader(stack: ExitStack, smi: ModuleType | None = None) -> Reader | None:
    """A reader of all GPUs, closed by `stack`; None without the library or the driver."""
    if smi is None:
        try:
            smi = importlib.import_module("amdsmi")
        # Besides being absent, it fails with the loader's errors where ROCm is another version.
        except (ImportError, OSError, KeyError, AttributeError):
            return None
    try:
        smi.amdsmi_init()
        handles = list(smi.amdsmi_get_processor_handles())
    except smi.AmdSmiException:
        return None
    stack.callback(smi.amdsmi_shut_down)
    if not handles:
        return None

    def read() -> Sequence[tuple[str, Mapping[str, object]]]:
        # torch calls them cuda too.
        return [(f"cuda:{n}", _values(smi, handle)) for n, handle in enumerate(handles)]

    return read


def _values(smi: ModuleType, handle: object) -> dict[str, object]:
    def ask(question: Callable[[], Any]) -> Any:
        # What a device does not tell comes as an error, or as the text "N/A".
        try:
            answer = question()
        except (smi.AmdSmiException, KeyError, TypeError, ValueError):
            return None
        return None if answer == "N/A" else answer

    power = ask(lambda: smi.amdsmi_get_power_info(handle)) or {}
    vram = ask(lambda: smi.amdsmi_get_gpu_vram_usage(handle)) or {}
    answers = {
        "name": ask(lambda: smi.amdsmi_get_gpu_asic_info(handle)["market_name"]),
        "utilisation": ask(lambda: smi.amdsmi_get_gpu_activity(handle)["gfx_activity"] / 100),
        "memory_bytes": ask(lambda: int(vram["vram_used"]) << 20),
        "memory_total_bytes": ask(lambda: int(vram["vram_total"]) << 20),
        "sm_clock_mhz": ask(
            lambda: smi.amdsmi_get_clock_info(handle, smi.AmdSmiClkType.GFX)["clk"]
        ),
        "power_w": ask(lambda: float(power["average_socket_power"]))
        or ask(lambda: float(power["current_socket_power"])),
        "power_limit_w": ask(lambda: float(power["power_limit"])),
        "temperature_c": ask(
            lambda: smi.amdsmi_get_temp_metric(
                handle, smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
            )
        ),
        "throttle": ask(
            lambda: (
                ["throttled"]
                if smi.amdsmi_get_gpu_metrics_info(handle)["throttle_status"] in _THROTTLED
                else []
            )
        ),
        "processes": ask(lambda: _processes(smi, handle)),
    }
    return {key: value for key, value in answers.items() if value is not None}


def _processes(smi: ModuleType, handle: object) -> list[dict[str, object]]:
    return [
        {
            "pid": process["pid"],
            "name": process.get("name") or process_name(process["pid"]),
            "memory_bytes": process.get("memory_usage", {}).get("vram_mem"),
        }
        for process in smi.amdsmi_get_gpu_process_list(handle)
    ]

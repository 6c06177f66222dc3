"""NVIDIA's GPUs, by their driver's library. Only reads: nothing here changes a setting."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType

from onetrip.lab.web.devices import Reader
from onetrip.lab.web.devices.processes import process_name

# What holds the clock back, as bits of the driver's answer; being idle is no throttling.
_THROTTLE = {
    "SwPowerCap": "power cap",
    "SwThermalSlowdown": "hot (driver)",
    "HwThermalSlowdown": "hot (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "ApplicationsClocksSetting": "clock setting",
    "DisplayClockSetting": "display clock",
}


def open_reader(stack: ExitStack, nvml: ModuleType | None = None) -> Reader | None:
    """A reader of all GPUs, closed by `stack`; None without the library or the driver."""
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    stack.callback(nvml.nvmlShutdown)
    handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
    if not handles:
        return None

    def read() -> Sequence[tuple[str, Mapping[str, object]]]:
        return [(f"cuda:{n}", _values(nvml, handle)) for n, handle in enumerate(handles)]

    return read


def _values(nvml: ModuleType, handle: object) -> dict[str, object]:
    def ask(question: Callable[[], object]) -> object:
        # A GPU, or a slice of one, answers what it can; what it cannot is left out.
        try:
            return question()
        except nvml.NVMLError:
            return None

    name = ask(lambda: nvml.nvmlDeviceGetName(handle))
    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    answers: dict[str, object] = {
        "name": name.decode() if isinstance(name, bytes) else name,
        "utilisation": ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        "memory_bytes": getattr(memory, "used", None),
        "memory_total_bytes": getattr(memory, "total", None),
        "sm_clock_mhz": ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "power_w": ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
        "power_limit_w": ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000),
        "temperature_c": ask(
            lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        ),
        "throttle": ask(lambda: _throttle(nvml, handle)),
        "processes": ask(
            lambda: [
                {"pid": p.pid, "name": process_name(p.pid), "memory_bytes": p.usedGpuMemory}
                for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            ]
        ),
    }
    return {key: value for key, value in answers.items() if value is not None}


def _throttle(nvml: ModuleType, handle: object) -> list[str]:
    # Older drivers' libraries know the same bits by their older name.
    current = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    mask = (current or nvml.nvmlDeviceGetCurrentClocksThrottleReasons)(handle)
    return [word for bit, word in _bits(nvml) if mask & bit]


def _bits(nvml: ModuleType) -> list[tuple[int, str]]:
    found = []
    for reason, word in _THROTTLE.items():
        for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
            bit = getattr(nvml, prefix + reason, None)
            if isinstance(bit, int):
                found.append((bit, word))
                break
    return found

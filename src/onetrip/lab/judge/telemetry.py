"""What the device did meanwhile: clocks, throttling, temperature, power and energy, by NVML."""

import importlib
import re
from collections.abc import Mapping
from types import ModuleType, TracebackType
from typing import Any


class Telemetry:
    """Readings of one device; without NVML, or on a CPU, there are none.

    >>> with Telemetry("cpu") as telemetry:
    ...     telemetry.since(telemetry.sample())
    {}
    """

    def __init__(self, device: str) -> None:
        self._nvml, self._handle = _open(device)

    def sample(self) -> Mapping[str, Any]:
        """Readings of this moment; what the device does not tell is left out."""
        nvml, handle = self._nvml, self._handle
        if nvml is None:
            return {}
        readings = {
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(
                handle, nvml.NVML_TEMPERATURE_GPU
            ),
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) * 1e-3,
            "energy_j": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) * 1e-3,
        }
        found = {}
        for name, read in readings.items():
            try:
                found[name] = read()
            except nvml.NVMLError:
                continue
        return found

    def since(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Readings now, with the energy used since `before`."""
        now = dict(self.sample())
        if "energy_j" in now and "energy_j" in before:
            now["energy_j"] = now["energy_j"] - before["energy_j"]
        else:
            now.pop("energy_j", None)
        return now

    def __enter__(self) -> "Telemetry":
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of NVML."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()


def _open(device: str) -> tuple[Any, Any]:
    if not device.startswith("cuda"):
        return None, None
    try:
        nvml: ModuleType = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None, None
    digits = re.search(r"\d+$", device)
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByIndex(int(digits.group()) if digits else 0)
    except nvml.NVMLError:
        return None, None

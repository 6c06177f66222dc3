"""Readings of a device, with a stand-in for NVML."""

import sys
from types import ModuleType

import pytest

from onetrip.lab.judge.telemetry import Telemetry


class FakeNvml(ModuleType):
    """Answers as a device that tells everything but its clocks of memory."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self):
        super().__init__("pynvml")
        self.energy_mj = 1000
        self.asked, self.open = [], 0

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index):
        self.asked.append(index)
        return index

    def nvmlDeviceGetClockInfo(self, handle, kind):
        if kind == self.NVML_CLOCK_MEM:
            raise self.NVMLError
        return 1755

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return 4

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 41

    def nvmlDeviceGetPowerUsage(self, handle):
        return 250_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.energy_mj += 5000
        return self.energy_mj


@pytest.fixture
def nvml(monkeypatch):
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_block_has_what_the_device_tells_and_the_energy_that_it_took(nvml):
    with Telemetry("cuda:3") as telemetry:
        found = telemetry.since(telemetry.sample())
    assert found == {
        "sm_clock_mhz": 1755,
        "throttle_reasons": 4,
        "temperature_c": 41,
        "power_w": 250.0,
        "energy_j": 5.0,
    }
    assert nvml.asked == [3]
    assert nvml.open == 0


def test_without_nvml_there_is_nothing_to_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with Telemetry("cuda:0") as telemetry:
        assert telemetry.since(telemetry.sample()) == {}

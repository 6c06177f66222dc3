"""Readers of devices, against libraries that answer as the real ones do, and refuse as they do."""

import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from onetrip.lab.web.devices import amd, host, nvidia, open_readers


class NVMLError(Exception):
    pass


def toy_nvml(**changes):
    def refuse(*_):
        raise NVMLError("not supported")

    answers = {
        "NVMLError": NVMLError,
        "NVML_CLOCK_SM": 1,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda n: f"gpu {n}",
        "nvmlDeviceGetName": lambda _: "H200",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=21 << 30, total=140 << 30),
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=83),
        "nvmlDeviceGetClockInfo": lambda *_: 1980,
        "nvmlDeviceGetPowerUsage": lambda _: 532_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda _: 700_000,
        "nvmlDeviceGetTemperature": lambda *_: 57,
        "nvmlClocksEventReasonSwPowerCap": 4,
        "nvmlClocksEventReasonGpuIdle": 1,
        "nvmlClocksThrottleReasonHwSlowdown": 8,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda _: 4 | 1,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [
            SimpleNamespace(pid=2**30, usedGpuMemory=None)
        ],
    }
    refused = {name: refuse for name, value in changes.items() if value is NVMLError}
    return SimpleNamespace(**answers | changes | refused)


def read_all(opener, library):
    with ExitStack() as stack:
        reader = opener(stack, library)
        return [] if reader is None else list(reader())


def test_nvidia():
    ((device, values),) = read_all(nvidia.open_reader, toy_nvml())
    assert device == "cuda:0"
    assert values == {
        "name": "H200", "utilisation": 0.83, "memory_bytes": 21 << 30,
        "memory_total_bytes": 140 << 30, "sm_clock_mhz": 1980, "power_w": 532.0,
        "power_limit_w": 700.0, "temperature_c": 57, "throttle": ["power cap"],
        "processes": [{"pid": 2**30, "name": "", "memory_bytes": None}],
    }  # fmt: skip


def test_nvidia_leaves_out_what_it_is_not_told():
    """A slice of a GPU tells neither utilisation nor power."""
    library = toy_nvml(nvmlDeviceGetUtilizationRates=NVMLError, nvmlDeviceGetPowerUsage=NVMLError)
    ((_, values),) = read_all(nvidia.open_reader, library)
    assert "utilisation" not in values
    assert "power_w" not in values
    assert values["sm_clock_mhz"] == 1980


def test_nvidia_s_older_library():
    library = toy_nvml(nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 8)
    del library.nvmlDeviceGetCurrentClocksEventReasons
    ((_, values),) = read_all(nvidia.open_reader, library)
    assert values["throttle"] == ["hardware slowdown"]


@pytest.mark.parametrize("changes", [{"nvmlInit": NVMLError}, {"nvmlDeviceGetCount": lambda: 0}])
def test_no_nvidia_driver_no_reader(changes):
    assert read_all(nvidia.open_reader, toy_nvml(**changes)) == []


def test_names_of_the_real_library_exist():
    """The toy above would answer to names that NVIDIA never gave."""
    pynvml = pytest.importorskip("pynvml")
    unknown = [
        name for name in vars(toy_nvml()) if not hasattr(pynvml, name) and "Throttle" not in name
    ]
    assert unknown == []
    assert len(nvidia._bits(pynvml)) == len(nvidia._THROTTLE)


class AmdSmiException(Exception):
    pass


def toy_amd(**changes):
    answers = {
        "AmdSmiException": AmdSmiException,
        "AmdSmiClkType": SimpleNamespace(GFX=0),
        "AmdSmiTemperatureType": SimpleNamespace(HOTSPOT=1),
        "AmdSmiTemperatureMetric": SimpleNamespace(CURRENT=0),
        "amdsmi_init": lambda: None,
        "amdsmi_shut_down": lambda: None,
        "amdsmi_get_processor_handles": lambda: ["gpu"],
        "amdsmi_get_power_info": lambda _: {
            "average_socket_power": "N/A", "current_socket_power": 640, "power_limit": 750},
        "amdsmi_get_gpu_vram_usage": lambda _: {"vram_used": 1024, "vram_total": 196608},
        "amdsmi_get_gpu_asic_info": lambda _: {"market_name": "MI300X"},
        "amdsmi_get_gpu_activity": lambda _: {"gfx_activity": 50},
        "amdsmi_get_clock_info": lambda *_: {"clk": 2100},
        "amdsmi_get_temp_metric": lambda *_: 66,
        "amdsmi_get_gpu_metrics_info": lambda _: {"throttle_status": "UNTHROTTLED"},
        "amdsmi_get_gpu_process_list": lambda _: [
            {"pid": 7, "name": "python", "memory_usage": {"vram_mem": 5}}],
    }  # fmt: skip
    return SimpleNamespace(**answers | changes)


def test_amd():
    ((device, values),) = read_all(amd.open_reader, toy_amd())
    assert device == "cuda:0"
    assert values == {
        "name": "MI300X", "utilisation": 0.5, "memory_bytes": 1 << 30,
        "memory_total_bytes": 192 << 30, "sm_clock_mhz": 2100, "power_w": 640.0,
        "power_limit_w": 750.0, "temperature_c": 66, "throttle": [],
        "processes": [{"pid": 7, "name": "python", "memory_bytes": 5}],
    }  # fmt: skip


def test_amd_leaves_out_what_it_is_not_told():
    def refuse(_):
        raise AmdSmiException

    library = toy_amd(amdsmi_get_gpu_vram_usage=refuse, amdsmi_get_gpu_process_list=lambda _: "N/A")
    ((_, values),) = read_all(amd.open_reader, library)
    assert "memory_bytes" not in values
    assert values["power_w"] == 640.0


def test_no_amd_driver_no_reader():
    def refuse():
        raise AmdSmiException

    assert read_all(amd.open_reader, toy_amd(amdsmi_init=refuse)) == []


def test_libraries_that_are_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with ExitStack() as stack:
        assert open_readers(stack) == [host.read]


def test_this_machine():
    ((device, values),) = host.read()
    assert device == "cpu"
    assert 0 <= values["utilisation"] <= 1
    assert 0 < values["memory_bytes"] < values["memory_total_bytes"]
    assert values["name"]

import contextlib
import json

import pytest
import torch

from onetrip.bench import roofline
from onetrip.bench.roofline import full_float32, measure_ceilings, save_ceilings
from onetrip.core.device import DEVICES, find_device, measured_path, short_name
from onetrip.core.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(roofline, "_copy_bytes", lambda device: 1 << 20)
    monkeypatch.setattr(roofline, "_side", lambda device, dtype: 64)


def test_rates_follow_from_the_fastest_sample(small, monkeypatch):
    asked = {}

    def interleaved(calls, **keywords):
        asked.update(calls)
        times = {"copy": (2.0, 1.0), "float32": (0.5, 0.25)}
        timings = {name: type("T", (), {"samples_ms": times[name]}) for name in calls}
        return type("R", (), {"timings": timings, "failures": {}})

    monkeypatch.setattr(roofline, "interleaved", interleaved)
    found = measure_ceilings("cpu", dtypes=("float32",))
    assert found.bandwidth_gbps == pytest.approx(2 * (1 << 20) / 1e-3 * 1e-9)
    assert found.tflops == {"float32": pytest.approx(2 * 64**3 / 0.25e-3 * 1e-12)}
    assert (found.name, found.kind, found.measured) == ("cpu", "cpu", True)
    assert asked["float32"]().shape == (64, 64)


def test_a_dtype_that_cannot_be_multiplied_is_left_out(small, monkeypatch):
    def refuse(a, b):
        if a.dtype == torch.float16:
            raise RuntimeError('"addmm_impl_cpu_" not implemented for Half')
        return a @ b

    monkeypatch.setattr(torch, "mm", refuse)
    found = measure_ceilings("cpu", dtypes=("float16", "float32"), seconds_each=0.01)
    assert list(found.tflops) == ["float32"]


def test_saved_ceilings_are_found_by_the_drivers_name(small):
    measured = measure_ceilings("cpu", dtypes=("float32",), seconds_each=0.01)
    with pytest.raises(ArgumentError, match="doctor --measure"):
        find_device("Someone's GPU")
    bound = find_device("cpu")
    assert not bound.measured
    assert bound.bandwidth_gbps > measured.bandwidth_gbps
    save_ceilings(measured, "cpu")
    assert find_device("cpu") == measured
    save_ceilings(measured, "NVIDIA H100 80GB HBM3")
    assert find_device("NVIDIA H100 80GB HBM3") == measured
    assert find_device("h100") is DEVICES["h100"]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "cpu"}', json.dumps({"tflops": {}})])
def test_damaged_ceilings_say_what_to_do(text, cache):
    path = measured_path("cpu")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"Delete the file and run `onetrip doctor --measure`"):
        find_device("cpu")


def test_short_names():
    assert short_name("NVIDIA H200") == "h200"
    assert short_name("NVIDIA A100-SXM4-80GB") == "a100"
    assert short_name("NVIDIA GeForce RTX 4090") == "NVIDIA GeForce RTX 4090"


def test_full_float32_is_undone():
    torch.set_float32_matmul_precision("high")
    try:
        with contextlib.suppress(KeyError), full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            raise KeyError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")

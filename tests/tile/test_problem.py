"""From a device to a problem."""

from types import SimpleNamespace

import pytest
import torch

from onetrip.tile import problem
from onetrip.tile.problem import INTERPRETER, problem_on


def test_cpu_says_when_triton_interprets(monkeypatch):
    for interprets in (True, False):
        monkeypatch.setattr(problem, "is_interpreting", lambda answer=interprets: answer)
        found = problem_on("cpu", {"N": 8}, "float16", {"softcap": 30.0})
        assert found.options == {"softcap": 30.0} | ({INTERPRETER: True} if interprets else {})
        assert (found.device_kind, found.device_name, found.arch) == ("cpu", "cpu", 0)


@pytest.mark.parametrize(
    ("hip", "properties", "arch"),
    [
        (None, {"major": 9, "minor": 0}, 90),
        (None, {"major": 12, "minor": 1}, 121),
        ("6.4", {"gcnArchName": "gfx942:sramecc+:xnack-"}, 942),
        ("6.4", {"gcnArchName": "gfx90a"}, 0),
    ],
)
def test_gpu_is_described(monkeypatch, hip, properties, arch):
    # What another test found out about a real one is asked for again, and so it is after this one.
    monkeypatch.setattr(problem, "_gpu", problem._gpu.__wrapped__)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(name="A device", **properties),
    )
    found = problem_on("cuda:1", {"N": 8}, torch.bfloat16)
    assert (found.device_kind, found.arch, found.hip) == ("cuda", arch, hip is not None)
    assert (found.device_name, found.dtype, found.options) == ("A device", "bfloat16", {})

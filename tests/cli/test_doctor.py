import json

import pytest
import torch

from onetrip.bench import roofline
from onetrip.cli.main import main
from onetrip.core.device import find_device
from onetrip.lab.sandbox.level import Level, level


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(roofline, "_copy_bytes", lambda device: 1 << 20)
    monkeypatch.setattr(roofline, "_side", lambda device, dtype: 64)


def run(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_screen_names_versions_device_folders_and_kernel(capsys, tmp_path):
    printed = run(capsys)
    assert f"torch {torch.__version__}" in printed
    assert str(tmp_path) in printed
    assert "cpu" in printed
    assert "onetrip doctor --measure" in printed
    assert "triton" in printed


def test_measure_keeps_ceilings_for_estimates(capsys):
    found = json.loads(run(capsys, "--measure", "--json"))
    cpu = found["devices"][0]
    assert cpu["ceilings_from"] == "measured on this machine"
    assert cpu["ceilings"]["bandwidth_gbps"] == find_device("cpu").bandwidth_gbps


def test_json_says_whether_a_kernel_compiles(capsys):
    found = json.loads(run(capsys, "--json"))
    assert isinstance(found["kernel"]["works"], bool)
    assert found["kernel"]["what"]


def test_it_says_which_sandbox_is_active(capsys):
    found = json.loads(run(capsys, "--json"))["sandbox"]
    assert found["name"] == level().name
    assert f"{found['name']}" in run(capsys)


def test_it_says_what_a_weak_sandbox_lacks_and_why(capsys, monkeypatch):
    weak = Level("limits", ("the network is open",), ("bubblewrap: bwrap is not [installed]",))
    monkeypatch.setattr("onetrip.lab.sandbox.level.level", lambda: weak)
    printed = " ".join(run(capsys).split())
    assert "! limits" in printed
    assert "a candidate is not kept from this: the network is open" in printed
    assert "bubblewrap: bwrap is not [installed]" in printed


def test_doctor_answers_without_torch(run_without_torch):
    done = run_without_torch("doctor")
    assert done.returncode == 0, done.stderr
    assert "pip install torch" in done.stdout

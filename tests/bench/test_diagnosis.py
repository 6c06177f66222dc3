import os
import subprocess
import sys
from importlib import metadata

import pytest

from onetrip.bench import diagnosis
from onetrip.bench.diagnosis import diagnose, extras, known_ceilings, probe_kernel
from onetrip.bench.probe_triton import doubles_on
from onetrip.tile.problem import is_interpreting


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("ONETRIP_DATABASE", raising=False)
    return tmp_path / "cache"


def test_extras_say_what_is_missing_and_what_brings_it(monkeypatch):
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: [
            "torch>=2.11",
            "pytest>=9; extra == 'data'",
            'no-such-package>=1; extra == "data"',
            "pytest; extra == 'dev'",
            "onetrip[data]; extra == 'dev'",
        ],
    )
    found = {extra.name: extra for extra in extras()}
    assert found["data"].missing == ("no-such-package",)
    assert found["data"].command == "pip install 'onetrip[data]'"
    assert found["dev"].missing == ()


def test_a_source_tree_that_was_never_installed_has_no_extras(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert extras() == ()


def test_ceilings_say_where_they_come_from():
    assert known_ceilings("cpu") == (None, "unknown: measure them with onetrip doctor --measure")
    assert known_ceilings("NVIDIA H100 80GB HBM3")[1] == "measured by us"
    assert known_ceilings("NVIDIA A100-SXM4-80GB")[1] == "from the datasheet"


def test_folders_that_are_not_there_yet_are_not_made(cache):
    found = diagnose()
    assert found.folders["cache"] == f"{cache} (not there yet)"
    assert found.folders["database"].endswith("lab.sqlite (not there yet)")
    assert not cache.exists()
    (cache / "stdlib-lm").mkdir(parents=True)
    (cache / "stdlib-lm" / "head").write_bytes(bytes(2_500_000))
    assert diagnose().folders["cache"] == f"{cache} (2.5 MB)"


def test_probe_says_what_is_not_installed(monkeypatch):
    find = diagnosis.importlib.util.find_spec
    monkeypatch.setattr(
        diagnosis.importlib.util,
        "find_spec",
        lambda name: None if name == "triton" else find(name),
    )
    assert probe_kernel() == diagnosis.KernelProbe(
        False, "triton is not installed: pip install triton"
    )


@pytest.mark.skipif(not is_interpreting(), reason="kernels are not interpreted here")
def test_the_probe_kernel_is_right():
    assert doubles_on("cpu")


def test_the_probe_compiles_without_a_device():
    """In a process of its own: this one may have Triton in interpreter mode."""
    code = "from onetrip.bench.diagnosis import probe_kernel; print(probe_kernel())"
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, env=plain
    )
    assert done.stdout.startswith("KernelProbe(works=True, what='a kernel compiles"), done.stderr

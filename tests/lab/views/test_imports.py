"""The page's process starts fast: neither knowledge nor views load what is heavy."""

import subprocess
import sys

HEAVY = {"torch", "triton", "numpy", "optuna", "pyarrow", "matplotlib"}
CODE = """
import importlib, pkgutil, sys
import onetrip.lab.export.files
for room in ("knowledge", "views"):
    package = importlib.import_module(f"onetrip.lab.{room}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_nothing_heavy_is_loaded():
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stdout.split())
    assert "onetrip" in loaded
    assert not loaded & HEAVY

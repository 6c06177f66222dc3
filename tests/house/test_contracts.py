"""The import contracts hold, and each catches the import that it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tree import ROOT

OPERATOR = "src/onetrip/ops/linear_cross_entropy"

PLANTED = [
    ("src/onetrip/core/cost.py", "import torch", "Estimates need no torch"),
    (f"{OPERATOR}/spec.py", "import numpy", "Estimates need no torch"),
    (f"{OPERATOR}/cost.py", "import triton", "Estimates need no torch"),
    (f"{OPERATOR}/workloads.py", "import onetrip.tile.heavy", "Estimates need no torch"),
    ("src/onetrip/core/cost.py", "import onetrip.ops", "Imports point down"),
    ("src/onetrip/tile/compile_case.py", "import onetrip.testing", "Imports point down"),
    ("src/onetrip/testing/compile_lane.py", "import onetrip.bench", "Imports point down"),
    (f"{OPERATOR}/cost.py", "import onetrip.ops.other", "Operators do not know each other"),
]


def lint_imports(root: Path) -> tuple[int, str]:
    """Run the contracts over a tree, reading it and nothing installed."""
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def copied_tree(tmp_path):
    shutil.copytree(
        ROOT / "src" / "onetrip",
        tmp_path / "src" / "onetrip",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    heavy = tmp_path / "src" / "onetrip" / "tile" / "heavy.py"
    heavy.write_text('"""Needs torch."""\n\nimport torch\n')
    other = tmp_path / "src" / "onetrip" / "ops" / "other"
    other.mkdir()
    (other / "__init__.py").write_text('"""Another operator."""\n')
    return tmp_path


def test_contracts_hold(copied_tree):
    code, report = lint_imports(copied_tree)
    assert code == 0, report
    assert "3 kept, 0 broken" in report


@pytest.mark.parametrize(("path", "line", "contract"), PLANTED)
def test_contract_catches_a_planted_import(copied_tree, path, line, contract):
    target = copied_tree / path
    target.write_text(target.read_text("utf-8") + f"\n{line}\n", "utf-8")
    code, report = lint_imports(copied_tree)
    assert code != 0
    assert f"{contract} BROKEN" in report
    assert report.count("BROKEN") == 1, report

"""A new operator passes everything as `tools/new_op.py` writes it, and fails when it is broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import new_op
from tree import ROOT

NAME = "doubled_relu"

# The part of the contract suite that a wrong kernel meets first, without pytest around it.
RUN_GRADIENT_CHECKS = f"""
from onetrip.testing.contract import contract_checks

checks = [c for c in contract_checks({NAME!r}) if c.name.startswith("gradients")]
assert {{c.name.split("[")[1].split("-")[0] for c in checks if not c.skip_reason}} == {{
    "reference", "torch", "triton"
}}
for check in checks:
    check.run()
"""

pytestmark = pytest.mark.xdist_group("new_op")


class Copy:
    """A copy of the checkout with one new operator."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("src", "tests", "tools", "docs", "results"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy(path, root)
        shutil.copy(ROOT / "Makefile", root)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy, with the copy's package."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        environment |= {"PYTHONPATH": str(self.root / "src"), "TRITON_INTERPRET": "1"}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def test(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the copy's tests."""
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    copied = Copy(tmp_path_factory.mktemp("new_op") / "onetrip")
    done = copied.run("tools/new_op.py", NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    return copied


@pytest.mark.slow
def test_new_operator_passes_every_lane(copy):
    lanes = [
        "tests/contracts",
        "tests/compile",
        "tests/ops",
        "tests/house",
        f"src/onetrip/ops/{NAME}",
    ]
    done = copy.test("-k", NAME, *lanes)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert int(done.stdout.splitlines()[-1].split(" passed")[0].split()[-1]) > 100


def test_new_operator_is_well_formed(copy):
    for command in (
        ("-m", "ruff", "format", "--check", f"src/onetrip/ops/{NAME}", "tests/ops"),
        ("-m", "ruff", "check", f"src/onetrip/ops/{NAME}", "src/onetrip/__init__.py"),
        ("-c", "from importlinter.cli import lint_imports_command as run; run()"),
        ("tools/check_docs.py", "--check"),
    ):
        done = copy.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_name_stands_in_table_and_changelog(copy):
    table = (copy.root / "src/onetrip/__init__.py").read_text("utf-8")
    assert f'    "{NAME}": "onetrip.ops.{NAME}.api",\n' in table
    assert f"    from onetrip.ops.{NAME}.api import {NAME} as {NAME}\n" in table
    added = (copy.root / "CHANGELOG.md").read_text("utf-8").partition("### Changed")[0]
    assert added.endswith(f"- Operator `{NAME}`.\n\n")
    folder = copy.root / "src/onetrip/ops" / NAME
    sources = {path.name: path.read_text("utf-8") for path in folder.glob("*.*")}
    assert [name for name, text in sources.items() if "scaled_relu" in text] == []


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("kernel_triton.py", "y = tl.where(z <= 0.0, 0.0, z)", "y = z"),
        ("kernel_triton.py", "0.0, dy * scale)", "0.0, 0.0 * dy)"),
        ("kernel_triton.py", "(offs_d < D)", "(offs_d < D - 1)"),
        ("torch_impl.py", "torch.mul(dy[rows], scale, out", "torch.mul(dy[rows], 1.0, out"),
    ],
    ids=["no relu", "zero gradient", "wrong mask", "unscaled gradient"],
)
def test_broken_operator_fails_its_contract(copy, file, right, wrong):
    path = copy.root / "src/onetrip/ops" / NAME / file
    source = path.read_text("utf-8")
    assert right in source
    path.write_text(source.replace(right, wrong), "utf-8")
    try:
        done = copy.run("-c", RUN_GRADIENT_CHECKS)
    finally:
        path.write_text(source, "utf-8")
    assert "exceeds its budget" in done.stderr, done.stderr


def test_whole_operator_keeps_its_contract(copy):
    """What the broken ones are compared with."""
    done = copy.run("-c", RUN_GRADIENT_CHECKS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["RmsNorm", "rms-norm", "class", "2d_norm", "estimate", "core", "linear_cross_entropy"]
)
def test_impossible_name_is_refused(name):
    with pytest.raises(new_op.NameTakenError):
        new_op.check_name(name)

"""A new operator passes everything as `tools/new_op.py` writes it, and fails when it is broken."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import new_op
from tree import ROOT

NAME = "doubled_relu"

# right text -> wrong text in one file of the operator; the first changes nothing.
MUTATIONS = {
    "none": ("torch_impl.py", "", ""),
    "no relu": ("kernel_triton.py", "y = tl.where(z <= 0.0, 0.0, z)", "y = z"),
    "zero gradient": ("kernel_triton.py", "0.0, dy * scale)", "0.0, 0.0 * dy)"),
    "wrong mask": ("kernel_triton.py", "(offs_d < D)", "(offs_d < D - 1)"),
    "unscaled gradient": (
        "torch_impl.py",
        "torch.mul(dy[rows], scale, out",
        "torch.mul(dy[rows], 1.0, out",
    ),
}

# The part of the contract suite that a wrong kernel meets first, without pytest around it. torch is
# imported once: every mutation is imported, and fails, in a fork.
RUN_GRADIENT_CHECKS = f"""
import json, os, sys, traceback
from pathlib import Path
from onetrip.testing.contract import contract_checks

def run():
    checks = [c for c in contract_checks({NAME!r}) if c.name.startswith("gradients")]
    assert {{c.name.split("[")[1].split("-")[0] for c in checks if not c.skip_reason}} == {{
        "reference", "torch", "triton"
    }}
    for check in checks:
        check.run()

for name, (file, right, wrong) in json.loads(sys.argv[1]).items():
    path = Path("src/onetrip/ops", {NAME!r}, file)
    source = path.read_text("utf-8")
    assert right in source, right
    path.write_text(source.replace(right, wrong) if right else source, "utf-8")
    if not (child := os.fork()):
        try:
            run()
        except BaseException:
            Path(name + ".failure").write_text(traceback.format_exc(), "utf-8")
        else:
            Path(name + ".passed").touch()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    path.write_text(source, "utf-8")
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
        f"tests/ops/test_{NAME}.py",
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


@pytest.fixture(scope="module")
def checked(copy):
    """The folder where every mutation has left what became of it."""
    # No compiled file of one mutation is taken for another's, made in the same second.
    done = copy.run("-B", "-c", RUN_GRADIENT_CHECKS, json.dumps(MUTATIONS))
    assert done.returncode == 0, done.stderr
    return copy.root


@pytest.mark.parametrize("mutation", [name for name in MUTATIONS if name != "none"])
def test_broken_operator_fails_its_contract(checked, mutation):
    assert "exceeds its budget" in (checked / f"{mutation}.failure").read_text("utf-8")


def test_whole_operator_keeps_its_contract(checked):
    """What the broken ones are compared with."""
    assert (checked / "none.passed").exists()


@pytest.mark.parametrize(
    "name", ["RmsNorm", "rms-norm", "class", "2d_norm", "estimate", "core", "linear_cross_entropy"]
)
def test_impossible_name_is_refused(name):
    with pytest.raises(new_op.NameTakenError):
        new_op.check_name(name)

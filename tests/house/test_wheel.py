"""The wheel holds what the package needs, and works where nothing else is installed."""

import subprocess
import sys
import zipfile

import pytest

from tree import PACKAGE, ROOT

pytestmark = pytest.mark.xdist_group("wheel")


def run(*command, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built by the hatchling at hand: an isolated build would fetch one."""
    folder = tmp_path_factory.mktemp("wheel")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("onetrip-*.whl")
    return path


def test_wheel_holds_every_file_of_the_package(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    missing = [
        path.relative_to(ROOT / "src").as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert [name for name in missing if name not in packed] == []


def test_wheel_holds_the_licence_and_no_tests(wheel):
    packed = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == {"onetrip"}


def test_wheel_shows_the_readme(wheel):
    """Once there is one: `readme = "README.md"` in pyproject.toml."""
    (name,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/METADATA"))
    description = zipfile.ZipFile(wheel).read(name).decode().partition("\n\n")[2]
    readme = ROOT / "README.md"
    assert description.strip() == (readme.read_text("utf-8").strip() if readme.exists() else "")


def test_installed_wheel_estimates_without_anything_else(wheel, tmp_path):
    """No site-packages and no checkout on the path: the wheel and the standard library."""
    site = tmp_path / "site"
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel,
        cwd=tmp_path)  # fmt: skip
    code = f"""
import sys
sys.path.append({str(site)!r})
import onetrip
answer = onetrip.estimate("linear_cross_entropy", N=8192, D=2304, V=256000)
assert onetrip.__file__.startswith({str(site)!r}), onetrip.__file__
assert not {{"torch", "triton", "numpy"}} & sys.modules.keys()
print(answer.floor_ms)
"""
    floor_ms = float(run("-I", "-S", "-c", code, cwd=tmp_path))
    assert 30 < floor_ms < 45


def test_console_script_leads_to_the_command_line(wheel):
    (name,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("entry_points.txt"))
    script = zipfile.ZipFile(wheel).read(name).decode()
    assert "onetrip = onetrip.cli.main:main" in script

"""The JavaScript of others is what the lock says, and the page asks nobody else for any."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from onetrip.lab.web.frame import STATIC_DIR, TEMPLATES_DIR

ROOT = Path(__file__).parents[3]
VENDOR = STATIC_DIR / "vendor"
# Names of XML vocabularies are addresses that nobody asks.
NAMES = ("http://www.w3.org/",)


@pytest.fixture(scope="module")
def vendor_js():
    sys.path.insert(0, str(ROOT / "tools"))
    import vendor_js

    return vendor_js


def test_files_are_as_locked(vendor_js):
    assert vendor_js.differences(VENDOR) == []


def test_lock_names_what_the_tool_takes(vendor_js):
    lock = json.loads((VENDOR / "vendor.lock.json").read_text("utf-8"))
    assert [(entry["name"], entry["version"]) for entry in lock["packages"]] == [
        (package.name, package.version) for package in vendor_js.PACKAGES
    ]
    for entry in lock["packages"]:
        assert entry["integrity"].startswith("sha512-")
        assert entry["licence"] in ("MIT", "0BSD", "BSD-3-Clause", "Apache-2.0")
        assert any(name.endswith("LICENSE") for name in entry["files"])
    assert "://" not in json.dumps(lock)


@pytest.mark.parametrize("damage", ["changed", "missing", "not in the lock"])
def test_difference_is_seen(vendor_js, tmp_path, damage):
    copy = tmp_path / "vendor"
    shutil.copytree(VENDOR, copy)
    file = copy / "htmx.min.js"
    if damage == "changed":
        file.write_bytes(file.read_bytes().replace(b"htmx", b"htmy", 1))
    elif damage == "missing":
        file.unlink()
    else:
        (copy / "more.js").write_text("1", "utf-8")
    assert [line.partition(": ")[2] for line in vendor_js.differences(copy)] == [damage]


def ours():
    return sorted(
        path
        for folder in (STATIC_DIR, TEMPLATES_DIR)
        for path in folder.rglob("*")
        if path.suffix in (".js", ".css", ".html", ".svg") and VENDOR not in path.parents
    )


@pytest.mark.parametrize("path", ours(), ids=lambda path: path.name)
def test_page_loads_from_nowhere_else(path):
    text = path.read_text("utf-8")
    for name in NAMES:
        text = text.replace(name, "")
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+|https?://", text) == []


@pytest.mark.parametrize("path", ours(), ids=lambda path: path.name)
def test_page_keeps_its_own_policy(path):
    """The browser would refuse these silently, and something would be missing."""
    text = path.read_text("utf-8")
    # The exported file has no server: its script stands in it, named by hash in its own policy.
    if path.suffix == ".html" and path.name != "export.html":
        assert re.findall(r"<script(?![^>]*(?:\bsrc=|application/json))", text) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []
    if path.suffix == ".js":
        assert re.findall(r"\beval\(|new Function\(|\.innerHTML\s*=|document\.write", text) == []


def test_everything_that_a_page_names_is_there():
    for path in ours():
        for name in re.findall(r'"/static/([^"?{]+)"', path.read_text("utf-8")):
            assert (STATIC_DIR / name).is_file(), f"{path.name} asks for {name}"

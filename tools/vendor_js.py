"""Take the page's JavaScript from npm packages: ``python tools/vendor_js.py``.

For maintainers only; it needs npm. It writes the minified files and the licences into the
package's static folder and what was taken into ``vendor.lock.json``: name, version, npm's
integrity, licence, and the SHA-256 of each file. ``--check`` compares folder and lock, offline.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR_DIR = Path(__file__).resolve().parent.parent / "src/onetrip/lab/web/static/vendor"
LOCK = "vendor.lock.json"


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package: its exact version, and which of its files are taken under which name."""

    name: str
    version: str
    files: dict[str, str]


PACKAGES = (
    Package("htmx.org", "2.0.11", {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE"}),
    Package(
        "uplot",
        "1.6.32",
        {
            "dist/uPlot.iife.min.js": "uplot.min.js",
            "dist/uPlot.min.css": "uplot.min.css",
            "LICENSE": "uplot.LICENSE",
        },
    ),
)


def vendor(folder: Path) -> None:
    """Fetch every package, take its files and write the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = []
    for package in PACKAGES:
        archive, facts = _pack(package, folder)
        hashes = {}
        for member, name in sorted(package.files.items(), key=lambda item: item[1]):
            data = _without_source_map(_member(archive, f"package/{member}"))
            (folder / name).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
        archive.close()
        lock.append({"name": package.name, "version": package.version, **facts, "files": hashes})
    text = json.dumps({"packages": lock}, indent=2) + "\n"
    (folder / LOCK).write_text(text, encoding="utf-8")


def _pack(package: Package, folder: Path) -> tuple[tarfile.TarFile, dict[str, str]]:
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", f"{package.name}@{package.version}", "--json", "--silent"]
        done = subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.PIPE, timeout=120)
        report = json.loads(done.stdout)[0]
        path = Path(scratch) / report["filename"]
        data = path.read_bytes()
        digest = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        if digest != report["integrity"]:
            raise SystemExit(f"{package.name}: npm says {report['integrity']}, came {digest}")
        archive = tarfile.open(path)
        licence = json.loads(_member(archive, "package/package.json"))["license"]
    return archive, {"integrity": digest, "licence": licence}


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"{archive.name} holds no {name}")
    return file.read()


def _without_source_map(data: bytes) -> bytes:
    """Without the line that makes browsers ask for a file that is not here."""
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"//# sourceMappingURL="))


def differences(folder: Path) -> list[str]:
    """What in `folder` is not as the lock says: changed, missing, or not in the lock."""
    lock = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    locked = {name: sha for package in lock["packages"] for name, sha in package["files"].items()}
    present = {path.name: path for path in folder.iterdir() if path.name != LOCK}
    found = [f"{name}: not in the lock" for name in sorted(present.keys() - locked.keys())]
    for name, sha in sorted(locked.items()):
        if name not in present:
            found.append(f"{name}: missing")
        elif hashlib.sha256(present[name].read_bytes()).hexdigest() != sha:
            found.append(f"{name}: changed")
    return found


def main() -> None:
    """Fetch, or compare with ``--check``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="compare folder and lock, offline")
    if not parser.parse_args().check:
        vendor(VENDOR_DIR)
    found = differences(VENDOR_DIR)
    print("\n".join(found) or f"{VENDOR_DIR.name}: as locked")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

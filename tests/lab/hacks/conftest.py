"""The hacks' sources are never imported here: they are data, and hostile."""

import socket
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "tools")]

from catalogue import seed_of  # noqa: E402

collect_ignore_glob = ["candidates/*", "on_device/*", "problems/*", "naive.py"]

HERE = Path(__file__).parent
_MASK = 0x5A5A5A5A


@pytest.fixture(scope="session")
def open_port():
    """A port of this machine that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def filled_in(tmp_path, open_port):
    """A hack's source with what it has to know filled in: places, a port, a seed in disguise."""

    def fill(hack) -> str:
        seed = seed_of(hack.file)
        facts = {
            "FOLDER": tmp_path,
            "PROBLEM": HERE / "problems" / hack.problem,
            "PORT": open_port,
            "SECRET": "kept-in-the-lab-4711",
            "LOW": (seed & 0xFFFFFFFF) ^ _MASK,
            "HIGH": (seed >> 32) ^ _MASK,
            "BACKWARDS": str(seed)[::-1],
        }
        source = hack.source
        for name, fact in facts.items():
            source = source.replace(f"@{name}@", str(fact))
        return source

    return fill


@pytest.fixture
def problems():
    """Folder of the small problems."""
    return HERE / "problems"

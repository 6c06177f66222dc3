"""A made-up laboratory, filled once for all tests that only read it."""

import sys
from pathlib import Path

import pytest

from onetrip.lab.store.database import connect

_TOOLS = str(Path(__file__).resolve().parents[3] / "tools")


@pytest.fixture(scope="session")
def thousand(tmp_path_factory):
    """Path of a laboratory of about 1,000 experiments. Nobody writes into it."""
    sys.path.insert(0, _TOOLS)
    try:
        from fill_lab import fill
    finally:
        sys.path.remove(_TOOLS)
    path = tmp_path_factory.mktemp("thousand") / "lab.sqlite"
    fill(path, 1000)
    return path


@pytest.fixture(scope="session")
def lab(thousand):
    """An open connection to it, for reading."""
    connection = connect(thousand)
    connection.execute("PRAGMA query_only = ON")
    yield connection
    connection.close()

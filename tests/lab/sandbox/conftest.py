"""Runs small hostile programs behind walls; each is bounded in time, memory and number."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

from onetrip.lab.sandbox import enclosure
from onetrip.lab.sandbox.enclosure import enclose
from onetrip.lab.sandbox.level import NAMES, Level, why_unavailable
from onetrip.lab.sandbox.walls import Walls

SECONDS = 30


@dataclass
class Ran:
    """What a program inside printed, how it ended, and whether it ran into a wall."""

    returncode: int | None
    out: str
    err: str
    signal: str | None
    breach: object


def available(name: str) -> Level:
    """This level, or a skipped test with the reason."""
    reason = why_unavailable(name)
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    return Level(name)


@pytest.fixture(params=NAMES)
def any_level(request):
    return available(request.param)


@pytest.fixture(params=NAMES[:-1])
def closed_level(request):
    """Levels that close files and network."""
    return available(request.param)


@pytest.fixture
def without_control_group(monkeypatch):
    """What holds where no control group can be made."""
    monkeypatch.setattr(enclosure, "make_group", lambda walls: None)


def program(code: str) -> list[str]:
    return [sys.executable, "-P", "-c", textwrap.dedent(code)]


@pytest.fixture
def inside():
    """Run `code` behind walls and wait for its end, or for a breach when `watched`."""

    def run(code, level, *, walls=None, pass_fds=(), watched=False, environment=None):
        with enclose(program(code), walls or Walls(), pass_fds=pass_fds, level=level) as enclosed:
            process = subprocess.Popen(
                enclosed.command,
                env={**enclosed.environment, **(environment or {})},
                cwd=enclosed.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            breach, out, err = None, "", ""
            try:
                for _ in range(SECONDS * 20):
                    try:
                        out, err = process.communicate(timeout=0.05)
                        break
                    except subprocess.TimeoutExpired:
                        if watched and (breach := enclosed.breach(process.pid)):
                            break
            finally:
                breach = breach or enclosed.breach(process.pid)
                ended = process.poll()
                assert enclosed.end(process)
                for stream in filter(None, (process.stdout, process.stderr)):
                    stream.close()
            return Ran(ended, out, err, enclosed.signal_name(ended), breach)

    return run

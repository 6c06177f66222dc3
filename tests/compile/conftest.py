"""The compile lane runs in a process of its own: this one may have Triton in interpreter mode."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# For `import tiny_kernels`, here and in the lane's own process.
sys.path.insert(0, str(Path(__file__).parent))

Record = Mapping[str, object]


def operator_of(module: str) -> str:
    """The operator of a kernel file; a module of these tests stands for itself."""
    return module.split(".")[-2] if "." in module else module


@functools.cache
def _said_of(*names: str) -> subprocess.CompletedProcess[str]:
    """What `python -m onetrip.testing.compile_lane NAMES` said, once a session."""
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "onetrip.testing.compile_lane", *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2400)


class LaneRun:
    """What the lane said of a module; one run is of all modules of an operator."""

    def __init__(self, module: str) -> None:
        run = _said_of(operator_of(module))
        self.returncode = run.returncode
        # Each case is named before it is tried; what follows a name is about it.
        said = re.findall(
            rf"^{re.escape(module)} .*\n(?:(?!onetrip\.ops\.).*\n)*", run.stderr, re.M
        )
        self.stderr = "".join(said)
        records = [json.loads(line) for line in run.stdout.splitlines()]
        self.records: dict[tuple[str, str], Record] = {
            (record["case"], record["target"]): record
            for record in records
            if record["module"] == module
        }

    def record(self, case: str, target: str) -> Record:
        """What one case uses on one target; fails the test when it did not compile."""
        if (case, target) not in self.records:
            pytest.fail(f"{case} did not compile for {target}:\n{self.stderr[-4000:]}")
        return self.records[case, target]


@pytest.fixture(scope="session")
def lane() -> Callable[[str], LaneRun]:
    """Run the lane over a module."""
    return functools.cache(LaneRun)


@pytest.fixture(scope="session")
def said_of() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the lane over operators and modules."""
    return _said_of

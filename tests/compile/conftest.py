"""The compile lane runs in a process of its own: this one may have Triton in interpreter mode."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# For `import tiny_kernels`, here and in the lane's own process.
sys.path.insert(0, str(Path(__file__).parent))

Record = Mapping[str, object]


class LaneRun:
    """What `python -m onetrip.testing.compile_lane MODULE` said."""

    def __init__(self, module: str) -> None:
        environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        command = [sys.executable, "-m", "onetrip.testing.compile_lane", module]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
        self.returncode = run.returncode
        self.stderr = run.stderr
        records = [json.loads(line) for line in run.stdout.splitlines()]
        self.records: dict[tuple[str, str], Record] = {
            (record["case"], record["target"]): record for record in records
        }

    def record(self, case: str, target: str) -> Record:
        """What one case uses on one target; fails the test when it did not compile."""
        if (case, target) not in self.records:
            pytest.fail(f"{case} did not compile for {target}:\n{self.stderr[-4000:]}")
        return self.records[case, target]


@pytest.fixture(scope="session")
def lane() -> Callable[[str], LaneRun]:
    """Run the lane over one module, once a session."""
    return functools.cache(LaneRun)

import subprocess
import sys

import pytest

# A finder ahead of all others that knows three packages only to refuse them.
WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "triton", "numpy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from onetrip.cli.main import main
main(sys.argv[1:])
"""


@pytest.fixture
def run_without_torch():
    """Run `onetrip` in an interpreter in which torch, triton and numpy are not to be found."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run

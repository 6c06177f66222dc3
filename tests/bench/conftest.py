"""What several tests of the bench read."""

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """Sixty modules of the standard library: enough to hold three out."""
    folder = tmp_path_factory.mktemp("corpus")
    for path in sorted(Path(os.__file__).parent.glob("*.py"))[:60]:
        shutil.copy(path, folder)
    return folder

"""What the tests here share stands in modules beside them: `estimator_pairs`, `hdbscan_data`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config):
    """Know the one mark of scikit-learn's tests that is not pytest's."""
    config.addinivalue_line("markers", "thread_unsafe: not for pytest-run-parallel")

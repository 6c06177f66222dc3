"""What the tests here share stands in modules beside them: `estimator_pairs`, `hdbscan_data`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Make `import ratchets` and `import tree` work in the tests of this folder, and the tools too."""

import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE), str(_HERE.parent.parent / "tools")]

"""Leave with exit code 0 while being imported, through the front door."""

import sys

sys.exit(0)

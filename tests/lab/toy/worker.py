"""The real worker, in a process that knows the toy."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from install import install  # pyright: ignore[reportMissingImports]

    install()
    from onetrip.lab.judge import worker

    worker.main()

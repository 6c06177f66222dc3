"""The command line in a process that knows the toy, with workers that answer at once."""

import functools
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    from install import install  # pyright: ignore[reportMissingImports]

    install()
    from onetrip.cli.main import main
    from onetrip.lab.tune import session

    command = (sys.executable, str(here / "quick_worker.py"))
    session.tune = functools.partial(session.tune, command=command)
    main(sys.argv[1:])

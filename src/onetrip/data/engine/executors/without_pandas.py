"""Keep Arrow from importing pandas where nobody uses it.

The first array that Arrow makes of anything asks pandas whether that is one of its own, and imports
it for that: 0.4 s and 50 MB of each worker. Where no step comes from outside, none can be.
"""

import importlib.util
import sys
from collections.abc import Iterable

import pyarrow as pa

_MODULE = "pandas"


class _Hidden:
    """What stands before all finders, and says that there is no pandas."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == _MODULE:
            raise ModuleNotFoundError(name=name)


def leave_pandas_out() -> None:
    """Have Arrow find no pandas. What is imported already stays."""
    if _MODULE in sys.modules:
        return
    sys.meta_path.insert(0, _Hidden)
    try:
        # Arrow looks once, and remembers.
        pa.scalar(0)
    finally:
        sys.meta_path.remove(_Hidden)


def let_pandas_in(working: Iterable[object]) -> None:
    """Have Arrow look again where one of these is not ours: it may hand pandas' arrays over."""
    foreign = any(not type(one).__module__.startswith("onetrip.") for one in working)
    if foreign and importlib.util.find_spec(_MODULE):
        pa.nulls(0).to_pandas()

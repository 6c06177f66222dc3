"""pyarrow makes these functions when it is imported; no checker sees their names."""

from typing import Any

def __getattr__(name: str) -> Any: ...

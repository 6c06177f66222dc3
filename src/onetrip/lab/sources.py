"""Hashes of the source files that decide a result: measured under others, it does not compare."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import onetrip
from onetrip.core.operators import operator_module
from onetrip.lab.store.study import Sources

_ROOT = Path(onetrip.__file__).resolve().parent
# Files of an operator that change neither what it computes nor how fast.
_NO_EFFECT = {"workloads.py", "cost.py", "reference.py", "__init__.py"}


def harness(operator: str | None) -> Sources:
    """The judge, the timing protocol, the error budget, an operator's spec and reference."""
    judging = [
        *(_ROOT / "lab" / "judge").glob("*.py"),
        *(_ROOT / "lab" / "problems").glob("*.py"),
        _ROOT / "bench" / "timing.py",
        *(_ROOT / "testing" / name for name in ("budget.py", "memory.py", "poison.py")),
    ]
    if operator is not None:
        judging += [_folder(operator) / "reference.py", _folder(operator) / "spec.py"]
    return _sources("harness", judging)


def subject(operator: str) -> Sources:
    """The operator's implementations, their selection, and the device functions they share."""
    own = [path for path in _folder(operator).glob("*.py") if path.name not in _NO_EFFECT]
    return _sources("subject", [*own, *(_ROOT / "tile").glob("*.py")])


def _folder(operator: str) -> Path:
    return Path(str(operator_module(operator, "spec").__file__)).resolve().parent


def _sources(role: str, paths: Iterable[Path]) -> Sources:
    files = {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
    }
    return Sources(role, files, onetrip.__version__)

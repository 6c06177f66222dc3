"""A problem's files as plain text, so that a worker without them can make the folder again."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.store.study import fingerprint

_SUFFIXES = {".py", ".yml", ".yaml", ".json", ".toml", ".md", ".txt"}
_LARGEST_BYTES = 1 << 20


def pack(problem: ProblemRef) -> dict[str, str]:
    """Relative name -> text of a problem's files; empty for an operator, which needs none.

    Raises
    ------
    DataError
        The problem is not where it was, or has more than 1 MiB of files.
    """
    if problem.kind == "operator":
        return {}
    path = Path(problem.location)
    if not path.exists():
        raise DataError(f"The problem at {path} is gone; add it again from where it is now.")
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    root = path.parent if path.is_file() else path
    packed = {}
    left = _LARGEST_BYTES
    for file in files:
        if file.suffix not in _SUFFIXES or not file.is_file() or file.is_symlink():
            continue
        left -= file.stat().st_size
        if left < 0:
            raise DataError(
                f"The problem at {path} has more than {bytes_text(_LARGEST_BYTES)} of sources. "
                "Keep data out of its folder, or run the worker where the folder is."
            )
        packed[file.relative_to(root).as_posix()] = file.read_text(encoding="utf-8")
    return packed


def unpack(problem: ProblemRef, files: Mapping[str, str], folder: Path) -> ProblemRef:
    """Write a bundle below `folder`, once; return the problem with its place there.

    Raises
    ------
    DataError
        A name leads out of the folder.
    """
    if not files:
        return problem
    target = folder / fingerprint(dict(files))[:16]
    for name in files:
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts:
            raise DataError(f"The bundle of {problem.location} names a file outside: {name!r}.")
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder))
        for name, text in files.items():
            file = aside / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        try:
            os.rename(aside, target)
        except OSError:
            # Another worker was quicker: the same names with the same texts.
            if not target.exists():
                raise
    original = Path(problem.location)
    is_file = len(files) == 1 and original.name in files
    return replace(problem, location=str(target / original.name if is_file else target))

"""A problem's files as plain text, so that a worker without them can make the folder again."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.problems.task_file import files_named
from onetrip.lab.store.study import fingerprint

_SUFFIXES = {".py", ".yml", ".yaml", ".json", ".toml", ".md", ".txt"}
_LARGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """Texts by their names below one root, and where in it the problem is.

    Empty for an operator, which needs none.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    place: str = "."


def pack(problem: ProblemRef) -> Bundle:
    """Take the problem's folder, and what its task file names elsewhere.

    Raises
    ------
    DataError
        The problem is not where it was, or has more than 1 MiB of files.
    """
    if problem.kind == "operator":
        return Bundle()
    path = Path(problem.location).resolve()
    if not path.exists():
        raise DataError(f"The problem at {path} is gone; add it again from where it is now.")
    files = sorted(_files_of(problem, path))
    folders = {file.parent for file in files} | {path if path.is_dir() else path.parent}
    root = Path(os.path.commonpath(folders))
    texts = {}
    left = _LARGEST_BYTES
    for file in files:
        left -= file.stat().st_size
        if left < 0:
            raise DataError(
                f"The problem at {path} has more than {bytes_text(_LARGEST_BYTES)} of sources. "
                "Keep data out of its folder, or run the worker where the folder is."
            )
        texts[file.relative_to(root).as_posix()] = file.read_text(encoding="utf-8")
    return Bundle(texts, path.relative_to(root).as_posix())


def unpack(problem: ProblemRef, bundle: Bundle, folder: Path) -> ProblemRef:
    """Write a bundle below `folder`, once; return the problem with its place there.

    Raises
    ------
    DataError
        A name leads out of the folder.
    """
    if not bundle.files:
        return problem
    for name in (*bundle.files, bundle.place):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"The bundle of {problem.location} names a file outside: {name!r}.")
    target = folder / fingerprint(dict(bundle.files))[:16]
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder))
        for name, text in bundle.files.items():
            file = aside / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        try:
            os.rename(aside, target)
        except OSError:
            # Another worker was quicker: the same names with the same texts.
            if not target.exists():
                raise
    return replace(problem, location=str(target / bundle.place))


def _files_of(problem: ProblemRef, path: Path) -> set[Path]:
    if problem.kind == "kernelbench":
        return {path}
    # The command of a run is a file beside its run.toml.
    folder = path if path.is_dir() else path.parent
    found = set(_sources_below(folder))
    if problem.kind == "folder":
        named = files_named(folder, str(problem.options.get("task", "task.yml")))
        found |= {file.resolve() for file in named.values()}
    return found


def _sources_below(folder: Path) -> Iterable[Path]:
    return (
        file
        for file in folder.rglob("*")
        if file.suffix in _SUFFIXES and file.is_file() and not file.is_symlink()
    )

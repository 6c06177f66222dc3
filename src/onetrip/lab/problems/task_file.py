"""Read `task.yml` of a problem's folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onetrip.core.errors import DataError, UnsupportedError, require
from onetrip.lab.problems.problem import Case
from onetrip.lab.problems.sources import read_source

SUBMISSION = "@SUBMISSION@"
# The harness of such folders: ours stands in its place.
_HARNESS = frozenset({"eval.py", "submission.py"})
_SUPPORT = "utils.py"


@dataclass(frozen=True, slots=True)
class TaskFile:
    """What a folder says of its problem.

    `files` are the Python files that candidates may import, by the names that they go by;
    `cases` the tests, the benchmarks (timed) and, under the key "hidden" that is ours, sizes that
    are verified and not told.
    """

    description: str
    files: Mapping[str, str]
    cases: tuple[Case, ...]
    deterministic: bool


def read_task(folder: Path, name: str = "task.yml") -> TaskFile:
    """Read the folder's `task.yml`, or another of its task files, and the files that it names.

    Raises
    ------
    DataError
        A file is missing or is not what the format asks for.
    UnsupportedError
        The problem is not written in Python, or takes several devices.
    """
    path = folder / name
    task = _document(path)
    if task.get("lang", "py") != "py":
        raise UnsupportedError(
            f"{folder.name} asks for submissions in {task['lang']!r}; only 'py' is judged here. "
            "A Python submission may compile a kernel of another language itself."
        )
    if task.get("multi_gpu"):
        raise UnsupportedError(f"{folder.name} takes several GPUs; the judge gives one.")
    return TaskFile(
        description=str(task.get("description", "")).strip(),
        files=_files(path, task.get("files") or []),
        cases=_cases(path, task),
        deterministic=bool(task.get("deterministic", False)),
    )


def files_named(folder: Path, name: str = "task.yml") -> dict[str, Path]:
    """The files that a task file names and that are there, by the names that they go by.

    Some lie outside the folder: problems of one collection share a ``../utils.py``.
    """
    path = folder / name
    named = _named(path, _document(path).get("files") or [])
    return {name: file for name, file in named.items() if file.exists()}


def _document(path: Path) -> dict[str, Any]:
    yaml = require("yaml", extra="lab", purpose="reading task.yml")
    try:
        task = yaml.safe_load(read_source(path))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not YAML: {error}.") from error
    if not isinstance(task, dict):
        raise DataError(f"{path} must be a mapping, got {type(task).__name__}.")
    return task


def _named(path: Path, declared: list) -> dict[str, Path]:
    named = {name: path.parent / name for name in ("task.py", "reference.py")}
    for entry in declared:
        if not isinstance(entry, dict) or not {"name", "source"} <= entry.keys():
            raise DataError(f"{path}: each of `files` has a name and a source, got {entry}.")
        if entry["source"] != SUBMISSION and entry["name"] not in _HARNESS:
            named[str(entry["name"])] = path.parent / str(entry["source"])
    return named


def _files(path: Path, declared: list) -> dict[str, str]:
    files = {}
    for name, file in _named(path, declared).items():
        # Without a task.py there are no types for the reader; without utils.py there is ours.
        if file.exists() or name not in ("task.py", _SUPPORT):
            files[name] = read_source(file)
    if _SUPPORT not in files and any("utils" in text for text in files.values()):
        files[_SUPPORT] = read_source(Path(__file__).with_name("folder_support.py"))
    return files


def _cases(path: Path, task: Mapping[str, Any]) -> tuple[Case, ...]:
    cases: list[Case] = []
    for key in ("tests", "benchmarks", "hidden"):
        for arguments in task.get(key) or []:
            if not isinstance(arguments, dict):
                raise DataError(
                    f"{path}: each of `{key}` is a mapping of arguments of "
                    f"generate_input, got {arguments!r}."
                )
            given = {name: value for name, value in arguments.items() if name != "seed"}
            name = _unique(_name(key, given), {case.name for case in cases})
            cases.append(Case(name, given, timed=key == "benchmarks", hidden=key == "hidden"))
    if not any(case.timed for case in cases):
        raise DataError(f"{path} has no `benchmarks`: nothing would be timed.")
    return tuple(cases)


def _name(key: str, arguments: Mapping[str, object]) -> str:
    """The sizes themselves.

    >>> _name("tests", {"size": 127, "causal": True})
    'test size=127 causal=true'
    """
    said = " ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
    return f"{key.removesuffix('s')} {said}".strip()


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate

"""Rules that every Python file keeps. Each answers with the lines that break it."""

import ast
import functools
import re
from collections.abc import Callable, Iterator

Rule = Callable[[str], list[int]]


def bare_asserts(source: str) -> list[int]:
    """An `assert` vanishes under ``python -O`` and tells its reader nothing."""
    return [node.lineno for node in _nodes(source) if isinstance(node, ast.Assert)]


def swallowed_errors(source: str) -> list[int]:
    """A handler of everything that does not raise again hides the next mistake."""
    return [
        node.lineno
        for node in _nodes(source)
        if isinstance(node, ast.ExceptHandler)
        and _catches_everything(node.type)
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]


def environment_reads(source: str) -> list[int]:
    """A setting that the call site cannot see cannot be tested."""
    return [
        node.lineno
        for node in _nodes(source)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {alias.name for alias in node.names} & {"environ", "getenv", "putenv"}
        )
    ]


def future_annotations_with_shapes(source: str) -> list[int]:
    """The annotations of jaxtyping must be objects, not strings, to be checked."""
    uses_shapes = any(
        isinstance(node, ast.ImportFrom) and node.module == "jaxtyping" for node in _nodes(source)
    )
    return [
        node.lineno
        for node in _nodes(source)
        if uses_shapes and isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]


def unfinished_notes(source: str) -> list[int]:
    """What is not done goes to the issues, not into the source."""
    return _lines(source, r"#.*\b(TODO|FIXME|XXX|HACK)\b")


def banner_comments(source: str) -> list[int]:
    """A file that needs banners needs to be two files."""
    return _lines(source, r"^\s*#\s*([-=*#~_])\1{3,}")


def _nodes(source: str) -> Iterator[ast.AST]:
    return ast.walk(_tree(source))


# One file meets every rule before the next one comes.
_tree = functools.lru_cache(maxsize=1)(ast.parse)


def _lines(source: str, pattern: str) -> list[int]:
    return [n for n, line in enumerate(source.splitlines(), 1) if re.search(pattern, line)]


def _catches_everything(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(
        isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"} for name in names
    )

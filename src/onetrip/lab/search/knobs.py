"""Parameters in a candidate's own source: read them, and write other values in their place.

A source says which of its constants may change:

    KNOBS = {"BLOCK": (256, 512, 1024), "num_warps": (4, 8)}
    BLOCK = 512
    num_warps = 4

Both are literals at the top level of the file. Everything else stays as it was written.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint

Value = int | float | str | bool
NAME = "KNOBS"
_EXAMPLE = 'Write KNOBS = {"BLOCK": (256, 512)} and BLOCK = 256 at the top level of the file.'


@dataclass(frozen=True, slots=True)
class Knobs:
    """What a source lets vary: the choices of each constant, and the values it has now."""

    choices: Mapping[str, tuple[Value, ...]]
    values: Mapping[str, Value]


def read_knobs(source: str) -> Knobs:
    r"""Read a source's KNOBS and the constants that they name.

    Raises
    ------
    ArgumentError
        The source is no Python, has no KNOBS, or names a constant that it does not define once.

    Examples
    --------
    >>> read_knobs('KNOBS = {"BLOCK": (256, 512)}\nBLOCK = 256\n').values
    {'BLOCK': 256}
    """
    constants = _constants(source)
    if NAME not in constants:
        raise _complaint("a dictionary KNOBS", "none")
    choices = {}
    found = _literal(constants[NAME], NAME)
    if not isinstance(found, dict):
        raise _complaint("a dictionary KNOBS", type(found).__name__)
    for name, given in found.items():
        if not isinstance(given, tuple | list) or not given:
            raise _complaint(f"a tuple of choices for {name}", repr(given))
        choices[name] = tuple(given)
    values = {}
    for name in choices:
        if name not in constants:
            raise _complaint(f"a constant {name}", "none at the top level")
        values[name] = _literal(constants[name], name)
    return Knobs(choices, values)


def with_values(source: str, values: Mapping[str, Value]) -> str:
    r"""The same source with other values of its constants.

    >>> print(with_values('KNOBS = {"B": (1, 2)}\nB = 1  # rows\n', {"B": 2}), end="")
    KNOBS = {"B": (1, 2)}
    B = 2  # rows
    """
    constants = _constants(source)
    lines = source.splitlines(keepends=True)
    # From the last to the first: what stands before a change keeps its place.
    for name in sorted(values, key=lambda name: _place(constants, name), reverse=True):
        node = constants[name]
        if node.lineno != node.end_lineno or node.end_col_offset is None:
            raise _complaint(f"the value of {name} on one line", "more than one")
        # Offsets of the parser count bytes of UTF-8.
        line = lines[node.lineno - 1].encode()
        begin, end = line[: node.col_offset], line[node.end_col_offset :]
        lines[node.lineno - 1] = (begin + repr(values[name]).encode() + end).decode()
    return "".join(lines)


def _constants(source: str) -> dict[str, ast.expr]:
    """Values of the plain assignments at the top level, by name."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise _complaint("Python", f"line {error.lineno}: {error.msg}") from error
    found: dict[str, ast.expr] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            if target.id in found:
                raise _complaint(f"one assignment of {target.id}", "two")
            found[target.id] = value
    return found


def _place(constants: Mapping[str, ast.expr], name: str) -> tuple[int, int]:
    if name not in constants:
        raise _complaint(f"a constant {name}", "none at the top level")
    return constants[name].lineno, constants[name].col_offset


def _literal(node: ast.expr, name: str) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _complaint(f"a literal for {name}", ast.unparse(node)) from error


def _complaint(expected: str, got: str) -> ArgumentError:
    return ArgumentError(complaint("source", expected=expected, got=got, way_out=_EXAMPLE))

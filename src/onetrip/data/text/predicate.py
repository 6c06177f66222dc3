"""Conditions on a row, written as text and decided for a whole batch at once.

A condition is one expression of a small part of Python: names of columns, numbers, strings, true
and false; ``and``, ``or``, ``not``; comparisons, also chained, and ``in [...]``; and the functions
of `FUNCTIONS`. Nothing is evaluated as Python. Null is neither true nor false, as in SQL.
"""

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.text.flat_text import FlatText

Columns = Callable[[str], pa.Array]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition that was read: its text, and the columns that it names."""

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr

    def evaluate(self, columns: Columns) -> pa.Array:
        """Decide it.

        Parameters
        ----------
        columns : gives the column [N] of a name.

        Returns
        -------
        Array [N], bool; null where the condition is neither true nor false.

        Raises
        ------
        DataError
            A column has a type that the condition is not made for.
        """
        try:
            return _value(self._tree, columns)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                complaint(
                    "condition",
                    expected="one that fits the types of its columns",
                    got=repr(self.text),
                    way_out=reason,
                )
            ) from error


@functools.cache
def parse_predicate(text: str) -> Predicate:
    """Read a condition.

    Parameters
    ----------
    text : the condition.

    Returns
    -------
    Predicate

    Raises
    ------
    ArgumentError
        It is not of this language; the message says where.

    Examples
    --------
    >>> import pyarrow as pa
    >>> condition = parse_predicate("20 <= length(fwr1_aa) <= 50 and locus in ['H', 'K']")
    >>> condition.columns
    ('fwr1_aa', 'locus')
    >>> table = {"fwr1_aa": pa.array(["Q" * 25, "QV", None]), "locus": pa.array(["H", "H", "K"])}
    >>> condition.evaluate(table.__getitem__).to_pylist()
    [True, False, None]
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise _refused(text, f"a condition: {error.msg}") from error
    names: dict[str, None] = {}
    _check(tree, text, names)
    if isinstance(tree, ast.Constant):
        raise _refused(text, "a condition on a column")
    return Predicate(text, tuple(names), tree)


def _length(column: pa.Array) -> pa.Array:
    lengths = (
        pc.binary_length(column) if pa.types.is_string(column.type) else pc.utf8_length(column)
    )
    return pc.cast(lengths, pa.int64())


def _letters(column: pa.Array, alphabet: str) -> pa.Array:
    flat = FlatText.of(column)
    foreign = np.ones(256, bool)
    foreign[np.frombuffer(alphabet.encode(), np.uint8)] = False
    only = np.ones(len(column), bool)
    only[flat.rows(np.flatnonzero(foreign[flat.bytes]))] = False
    return pa.array(only, mask=None if flat.valid is None else ~flat.valid)


# Name in a condition -> function of a column and of texts.
FUNCTIONS: Mapping[str, Callable[..., pa.Array]] = {
    "length": _length,
    "letters": _letters,
    "matches": pc.match_substring_regex,
    "contains": pc.match_substring,
    "missing": pc.is_null,
}

_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], pa.Array]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_NAMED_CONSTANTS = {"true": True, "false": False}


def _check(node: ast.expr, text: str, names: dict[str, None]) -> None:
    """Refuse what is not of the language, and collect the columns."""
    match node:
        case ast.BoolOp(values=values):
            for value in values:
                _check(value, text, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _check(operand, text, names)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            pass
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for comparison, right in zip(ops, comparators, strict=True):
                if isinstance(comparison, ast.In):
                    _constants(right, text)
                elif type(comparison) in _COMPARISONS:
                    _check(right, text, names)
                else:
                    raise _refused(text, "a comparison with ==, !=, <, <=, >, >= or in")
            _check(left, text, names)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=column), *rest], keywords=[]):
            if name not in FUNCTIONS or not all(isinstance(one, ast.Constant) for one in rest):
                raise _refused(text, f"a function among {', '.join(FUNCTIONS)}, not {name}")
            if len(rest) != (0 if name in {"length", "missing"} else 1):
                raise _refused(text, f"{name} with the arguments that it has")
            names[column] = None
        case ast.Name(id=name):
            if name not in _NAMED_CONSTANTS:
                names[name] = None
        case ast.Constant(value=str() | int() | float()):
            pass
        case _:
            got = ast.unparse(node)
            raise _refused(
                text, f"made of columns, constants, comparisons and functions, not {got}"
            )


def _constants(node: ast.expr, text: str) -> list[object]:
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        if all(isinstance(one, ast.Constant) for one in node.elts):
            return [one.value for one in node.elts if isinstance(one, ast.Constant)]
    raise _refused(text, "`in` with a list of constants")


def _value(node: ast.expr, columns: Columns) -> Any:
    match node:
        case ast.BoolOp(op=op, values=values):
            join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
            return functools.reduce(join, (_value(value, columns) for value in values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return pc.invert(_value(operand, columns))
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as number)):
            return operator.neg(number)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            return _comparison(left, ops, comparators, columns)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=column), *rest]):
            texts = [one.value for one in rest if isinstance(one, ast.Constant)]
            return FUNCTIONS[name](columns(column), *texts)
        case ast.Name(id=name):
            return _NAMED_CONSTANTS[name] if name in _NAMED_CONSTANTS else columns(name)
        case ast.Constant(value=value):
            return value
    raise _refused(ast.unparse(node), "checked before it is evaluated")


def _comparison(
    left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr], columns: Columns
) -> pa.Array:
    parts, before = [], _value(left, columns)
    for comparison, right in zip(ops, comparators, strict=True):
        if isinstance(comparison, ast.In):
            found = pc.is_in(before, value_set=pa.array(_constants(right, ast.unparse(right))))
            parts.append(pc.if_else(pc.is_null(before), None, found))
            continue
        after = _value(right, columns)
        parts.append(_COMPARISONS[type(comparison)](before, after))
        before = after
    return functools.reduce(pc.and_kleene, parts)


def _refused(text: str, expected: str) -> ArgumentError:
    return ArgumentError(complaint("condition", expected=expected, got=repr(text)))

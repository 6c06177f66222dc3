"""The parameters of a run: which values each may take."""

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onetrip.core.errors import ArgumentError, DataError, complaint

Value = bool | int | float | str | None

# Of a range that is searched by choices.
_VALUES = 9
_FIELDS = frozenset({"choices", "low", "high", "step", "log", "why"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: choices, or a range of whole or of real numbers.

    A range of whole numbers has whole ends. `log` says that a search should step by ratios.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    why: str = ""

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def check(self, value: object) -> None:
        """Raise `ArgumentError` unless `value` is allowed."""
        if not self._allows(value):
            raise ArgumentError(complaint(self.name, expected=self.allowed, got=repr(value)))

    @property
    def some(self) -> tuple[Value, ...]:
        """Its choices, or up to nine values over its range, for a search by choices.

        >>> Parameter("guesses", low=1, high=16).some
        (1, 3, 5, 7, 8, 10, 12, 14, 16)
        """
        if self.choices or self.low is None or self.high is None:
            return self.choices
        shares = [place / (_VALUES - 1) for place in range(_VALUES)]
        if self.log:
            values = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            values = [self.low + (self.high - self.low) * share for share in shares]
        return tuple(dict.fromkeys(round(value) if self.whole else value for value in values))

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if self.choices:
            return f"one of {list(self.choices)}"
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low} to {self.high}"

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON: what a proposer reads."""
        kind = "choice" if self.choices else "int" if self.whole else "float"
        return {"kind": kind, **asdict(self), "choices": list(self.choices)}

    def _allows(self, value: object) -> bool:
        if self.choices:
            # True equals 1 in Python, and is another choice.
            return any(value == one and type(value) is type(one) for one in self.choices)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if self.low is None or self.high is None or not self.low <= value <= self.high:
            return False
        return not self.whole or isinstance(value, int)


def read_space(where: str, declared: Mapping[str, Any]) -> dict[str, Parameter]:
    """Read a file's `parameters`.

    >>> space = read_space("run.toml", {"batch": {"choices": [1, 4]}, "lr": {"low": 1e-5,
    ...     "high": 1e-2, "log": True}})
    >>> space["batch"].allowed, space["lr"].allowed
    ('one of [1, 4]', 'a number from 1e-05 to 0.01')
    """
    return {name: _parameter(where, name, given) for name, given in declared.items()}


def check_config(space: Mapping[str, Parameter], config: Mapping[str, object]) -> None:
    """Raise `ArgumentError` for a parameter that does not exist, or a value it may not take."""
    unknown = sorted(config.keys() - space.keys())
    if unknown:
        expected = f"some of {sorted(space)}"
        raise ArgumentError(complaint("config", expected=expected, got=unknown))
    for name, value in config.items():
        space[name].check(value)


def as_source(space: Mapping[str, Parameter], values: Mapping[str, Any]) -> str:
    """A configuration as a Python file of constants, which searches over sources can vary.

    >>> print(as_source({"batch": Parameter("batch", (1, 4))}, {"batch": 4}), end="")
    KNOBS = {
        'batch': (1, 4),
    }
    batch = 4
    """
    knobs = "".join(f"    {name!r}: {one.some!r},\n" for name, one in space.items())
    constants = "".join(f"{name} = {values[name]!r}\n" for name in space)
    return f"KNOBS = {{\n{knobs}}}\n{constants}"


def from_source(source: str) -> dict[str, object]:
    r"""The constants of such a file. It is read, never run.

    >>> from_source('KNOBS = {"batch": (1, 4)}\nbatch = 4  # larger\n')
    {'batch': 4}
    """
    expected = "constants only, as in `batch = 4`"
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise ArgumentError(complaint("source", expected="Python", got=error)) from error
    values = {}
    for node in body:
        match node:
            case ast.Expr(ast.Constant(str())):
                continue
            case ast.Assign([ast.Name(name)], value):
                try:
                    values[name] = ast.literal_eval(value)
                    continue
                except ValueError:
                    pass
        got = f"line {node.lineno}: {ast.unparse(node)[:80]}"
        raise ArgumentError(complaint("source", expected=expected, got=got))
    values.pop("KNOBS", None)
    return values


def _parameter(where: str, name: str, given: object) -> Parameter:
    if not isinstance(given, Mapping) or given.keys() - _FIELDS:
        raise DataError(
            f"{where}: parameter `{name}` has `choices`, or `low` and `high` (and `step`, `log`), "
            f"got {given}."
        )
    choices = tuple(given.get("choices", ()))
    ends = (given.get("low"), given.get("high"))
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    if bool(choices) == numbers:
        raise DataError(f"{where}: parameter `{name}` has either `choices` or `low` and `high`.")
    if numbers and not ends[0] <= ends[1]:  # type: ignore[operator]
        raise DataError(f"{where}: parameter `{name}` has a `low` above its `high`.")
    return Parameter(
        name,
        choices,
        *ends,
        step=given.get("step"),
        log=bool(given.get("log", False)),
        why=str(given.get("why", "")),
    )

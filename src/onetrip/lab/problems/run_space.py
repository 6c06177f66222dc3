"""The parameters of a run: which values each may take."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onetrip.core.errors import ArgumentError, DataError, complaint

Value = bool | int | float | str | None

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

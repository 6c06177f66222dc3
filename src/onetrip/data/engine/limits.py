"""How much bad input a run may meet, and the exit code that says how much it met."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.engine.account import Account
from onetrip.data.engine.outcome import Outcome

CLEAN = 0
QUARANTINED = 3
LIMITS_EXCEEDED = 4


@dataclass(frozen=True, slots=True)
class Limit:
    """A share of all, or a number.

    >>> Limit.read("1%").allows(10, of=1000), Limit.read("20").allows(21, of=1000)
    (True, False)
    """

    share: float | None
    number: int | None

    @classmethod
    def read(cls, text: str, argument: str = "limit") -> "Limit":
        """Read "1%" or "1000"; raises ArgumentError otherwise."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*|\s*(\d+)\s*", text)
        if not match or (match[1] and float(match[1]) > 100):
            expected = "a share like 1% or a number like 1000"
            raise ArgumentError(complaint(argument, expected=expected, got=repr(text)))
        return cls(float(match[1]) / 100, None) if match[1] else cls(None, int(match[2]))

    def allows(self, bad: int, *, of: int) -> bool:
        """Whether so many bad ones are within the limit."""
        if self.number is not None:
            return bad <= self.number
        return bad <= (self.share or 0.0) * of

    @property
    def is_zero(self) -> bool:
        """Whether the first bad one is one too many."""
        return not self.number and not self.share

    def __str__(self) -> str:
        return f"{self.number}" if self.share is None else f"{100 * self.share:g}%"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run bears of rows and of units."""

    rows: Limit
    units: Limit

    @classmethod
    def of(cls, max_bad_rows: str, max_bad_units: str, *, strict: bool) -> "Limits":
        """Limits as the command line says them; strict ones bear nothing."""
        rows, units = ("0", "0") if strict else (max_bad_rows, max_bad_units)
        return cls(Limit.read(rows, "max-bad-rows"), Limit.read(units, "max-bad-units"))


@dataclass(frozen=True, slots=True)
class Damage:
    """What was met: rows rejected of all rows, units bad or partial of all units."""

    rows: int
    bad_rows: int
    units: int
    bad_units: int
    partial_units: int

    def plus(self, outcome: Outcome) -> "Damage":
        """With what one more task met."""
        states = [unit.state for unit in outcome.units]
        return replace(
            self,
            bad_rows=self.bad_rows + rejected_rows(outcome.accounts),
            bad_units=self.bad_units + states.count("bad"),
            partial_units=self.partial_units + states.count("partial"),
        )

    def exceeded(self, limits: Limits, *, rows_are_all: bool = True) -> str:
        """Which limit is exceeded, as a sentence; "" where none is.

        A share of the rows is only asked about once all rows were seen.
        """
        if not limits.units.allows(self.bad_units, of=self.units):
            return (
                f"{self.bad_units} of {self.units} units are bad, more than --max-bad-units "
                f"{limits.units}"
            )
        if (rows_are_all or limits.rows.share is None or limits.rows.is_zero) and (
            not limits.rows.allows(self.bad_rows, of=self.rows)
        ):
            return (
                f"{self.bad_rows} of {self.rows} rows are bad, more than --max-bad-rows "
                f"{limits.rows}"
            )
        return ""

    @property
    def exit_code(self) -> int:
        """0 where nothing was set aside, 3 where something was."""
        return QUARANTINED if self.bad_rows or self.bad_units or self.partial_units else CLEAN


def rejected_rows(accounts: Mapping[str, Account]) -> int:
    """Rows that all steps together rejected."""
    return sum(account.rejected for account in accounts.values())

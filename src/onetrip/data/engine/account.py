"""The balance of rows: what goes into a step comes out, is rejected, or is dropped by a rule."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onetrip.core.errors import DataError
from onetrip.data.step import Applied


@dataclass(slots=True)
class Account:
    """Rows of one step: `rows_in` = `rows_out` + `rejected` + the sum of `dropped`.

    `counts` are told beside the balance and enter it nowhere.

    >>> account = Account(rows_in=3, rows_out=2, dropped=Counter(too_short=1))
    >>> account.close("filter")
    >>> (account + account).rows_in
    6
    """

    rows_in: int = 0
    rows_out: int = 0
    rejected: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rows_in: int, applied: Applied) -> None:
        """Enter what a step made of `rows_in` rows."""
        self.rows_in += rows_in
        self.rows_out += applied.batch.num_rows
        self.rejected += len(applied.rejects)
        self.dropped.update(applied.dropped)
        self.counts.update(applied.counts)

    def close(self, step: str) -> None:
        """Raise DataError unless the balance closes."""
        left = self.rows_out + self.rejected + self.dropped.total()
        if self.rows_in != left:
            raise DataError(
                f"Step `{step}` took {self.rows_in} rows and accounts for {left}: "
                f"{self.rows_out} out, {self.rejected} rejected, {self.dropped.total()} dropped "
                f"({dict(self.dropped)}). Every row must be counted once."
            )

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.rows_in + other.rows_in,
            self.rows_out + other.rows_out,
            self.rejected + other.rejected,
            self.dropped + other.dropped,
            Counter(self.counts) + Counter(other.counts),
        )

    def as_dict(self) -> dict[str, Any]:
        """The account as JSON holds it."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rejected": self.rejected,
            "dropped": dict(self.dropped),
            "counts": dict(self.counts),
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Account":
        """The account as it was before `as_dict`."""
        return cls(
            written["rows_in"],
            written["rows_out"],
            written["rejected"],
            Counter(written["dropped"]),
            Counter(written["counts"]),
        )


def merged(many: Iterable[Mapping[str, Account]]) -> dict[str, Account]:
    """Accounts by step, added up; steps in the order of their first account."""
    total: dict[str, Account] = {}
    for accounts in many:
        for step, account in accounts.items():
            total[step] = total[step] + account if step in total else account
    return total

"""Experiments: past, running, future; filtered, ordered, and every view of them an address."""

import re
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onetrip.core.errors import ArgumentError
from onetrip.lab.views.experiments import Listing, list_experiments
from onetrip.lab.views.language import FIELDS, GROUPS, STATES
from onetrip.lab.web.frame import reading
from onetrip.lab.web.pages import compare, experiment, search
from onetrip.lab.web.render import render

PAGE_SIZE = 50
_DEFAULT_ORDER = "-updated"
_WORDS = re.compile(r'(?:"[^"]*"?|[^\s"])+')

router = APIRouter()
router.include_router(compare.router)
router.include_router(experiment.router)
router.include_router(search.router)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list; `order` is the name to sort it by, "-" before it the largest first."""

    title: str
    order: str = ""
    class_: str = ""


COLUMNS = (
    Column("#", "-id", "number"),
    Column("State", "state"),
    Column("What", "title"),
    Column("Problem", "problem", "wide-only"),
    Column("By", "proposer", "wide-only"),
    Column("Tests", "hypothesis", "wide-only"),
    Column("Median [95 %]", "median", "number wide-only"),
    Column("Of floor", "-share", "number wide-only"),
    Column("To best peer", "-peer", "number wide-only"),
    Column("Changed", "-updated", "number wide-only"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; `url` writes the address again, with some of it changed.

    >>> Asked("state:done split k").url(page=2)
    '/experiments?q=state%3Adone+split+k&page=2'
    """

    q: str = ""
    order: str = _DEFAULT_ORDER
    page: int = 1

    def url(self, **changes: object) -> str:
        """The address of the same list but for `changes`."""
        asked = replace(self, **changes)
        parts = {
            "q": asked.q,
            "order": "" if asked.order == _DEFAULT_ORDER else asked.order,
            "page": "" if asked.page == 1 else asked.page,
        }
        written = urlencode({name: value for name, value in parts.items() if value})
        return f"/experiments?{written}" if written else "/experiments"

    def with_state(self, state: str) -> str:
        """The address of the same query with `state:` being this one; without, when it is."""
        words = [word for word in _WORDS.findall(self.q) if not _is_of_state(word)]
        if state and f"state:{state}" not in _WORDS.findall(self.q):
            words.insert(0, f"state:{state}")
        return self.url(q=" ".join(words), page=1)

    def ordered_by(self, column: Column) -> str:
        """The address that sorts by a column, the other way round when it does already."""
        turned = column.order.removeprefix("-") if column.order[0] == "-" else f"-{column.order}"
        return self.url(order=turned if self.order == column.order else column.order, page=1)

    def direction(self, column: Column) -> str | None:
        """`aria-sort` of a column."""
        if not column.order or self.order.removeprefix("-") != column.order.removeprefix("-"):
            return None
        return "descending" if self.order.startswith("-") else "ascending"


def _is_of_state(word: str) -> bool:
    return word.removeprefix("-").startswith("state:")


@router.get("/experiments")
def experiments(
    request: Request,
    q: Annotated[str, Query(max_length=500)] = "",
    order: Annotated[str, Query(max_length=20)] = _DEFAULT_ORDER,
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """One page of the list. A query that cannot be read is explained where the rows would be."""
    asked = Asked(q.strip(), order, page)
    mistake, listing = "", Listing([], 0, {})
    with reading(request) as connection:
        try:
            listing = list_experiments(
                connection,
                asked.q,
                limit=PAGE_SIZE,
                offset=(page - 1) * PAGE_SIZE,
                order=asked.order,
            )
        except ArgumentError as error:
            mistake = str(error)
    counts = listing.counts_by_state
    groups = {name: sum(counts.get(state, 0) for state in of) for name, of in GROUPS.items()}
    return render(
        request,
        "experiments.html",
        page="experiments",
        title="Experiments",
        # htmx shows only what it is given as a success.
        status=400 if mistake and "hx-request" not in request.headers else 200,
        asked=asked,
        mistake=mistake,
        listing=listing,
        columns=COLUMNS,
        counts=[(state, counts[state]) for state in STATES if state in counts],
        groups=[(name, count) for name, count in groups.items() if count],
        chosen={word for word in _WORDS.findall(asked.q) if _is_of_state(word)},
        fields=FIELDS,
        pages_in_all=max(1, -(-listing.total // PAGE_SIZE)),
        first=(page - 1) * PAGE_SIZE + 1,
    )

"""Search over all that has words: hypotheses, learnings, experiments, candidates, problems."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from markupsafe import Markup, escape
from starlette.responses import Response

from onetrip.lab.knowledge.words import MARK, UNMARK, search
from onetrip.lab.web.frame import reading
from onetrip.lab.web.markup import plain
from onetrip.lab.web.render import render

_MOST = 60

router = APIRouter()


@router.get("/search")
def search_page(request: Request, q: Annotated[str, Query(max_length=500)] = "") -> Response:
    """The best matches first, each with the passage that matches."""
    with reading(request) as connection:
        found = search(connection, q, limit=_MOST)
    return render(
        request,
        "search.html",
        page="search",
        title=f"Search {q}".strip(),
        q=q,
        hits=[(hit, marked(hit.snippet)) for hit in found],
        most=_MOST,
    )


def marked(snippet: str) -> Markup:
    """A passage with its matches marked; all else in it is text.

    >>> marked(f"<b> {MARK}split{UNMARK} k")
    Markup('&lt;b&gt; <mark>split</mark> k')
    """
    pieces = []
    for n, piece in enumerate(snippet.split(MARK)):
        match, cut, rest = piece.partition(UNMARK)
        if n and cut:
            pieces.append(Markup("<mark>{}</mark>{}").format(plain(match), plain(rest)))
        else:
            pieces.append(escape(plain(piece)))
    return Markup("").join(pieces)

"""The pages, in the order of the navigation. A page is a module with a `router`.

To add one: write ``pages/<key>.py`` with ``router = APIRouter()``, its template
``templates/<key>.html``, and a line in `PAGES`. A router may hold more routes than the one in
the navigation (``/experiments`` and ``/experiments/{id}``).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the navigation.

    `key` names it to the templates, `shortcut` is the letter after "g" on the keyboard.
    """

    key: str
    title: str
    path: str
    module: str
    shortcut: str


def _page(key: str, title: str, path: str, shortcut: str) -> Page:
    return Page(key, title, path, f"onetrip.lab.web.pages.{key}", shortcut)


PAGES: tuple[Page, ...] = (
    _page("now", "Now", "/", "n"),
    _page("queue", "Queue", "/queue", "q"),
    _page("experiments", "Experiments", "/experiments", "e"),
    _page("problems", "Problems", "/problems", "p"),
    _page("hypotheses", "Hypotheses", "/hypotheses", "h"),
    _page("learnings", "Learnings", "/learnings", "w"),
    _page("graph", "Graph", "/graph", "a"),
    _page("results", "Results", "/results", "r"),
    _page("log", "Log", "/log", "l"),
)

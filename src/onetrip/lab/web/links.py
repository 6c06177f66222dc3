"""Where in the page a thing of the lab is shown."""

from collections.abc import Callable

# Where an experiment is shown: in the page, or in a file that is shared.
Href = Callable[[int], str]

_PLACES = {
    "experiment": "/experiments/{id}",
    "candidate": "/candidates/{id}",
    "hypothesis": "/hypotheses/{id}",
    "problem": "/problems/{id}",
    "learning": "/learnings#learning-{id}",
}


def place_of(kind: str, id: int | None) -> str | None:
    """The address of a thing; None when it has no place of its own.

    >>> place_of("experiment", 12), place_of("worker", 1), place_of("problem", None)
    ('/experiments/12', None, None)
    """
    pattern = _PLACES.get(kind)
    return None if pattern is None or id is None else pattern.format(id=id)


def graph_of(kind: str, id: int) -> str:
    """The address of the graph around a thing.

    >>> graph_of("hypothesis", 4)
    '/graph?around=hypothesis%3A4'
    """
    return f"/graph?around={kind}%3A{id}"


def page_of(id: int) -> str:
    """The address of an experiment.

    >>> page_of(12)
    '/experiments/12'
    """
    return _PLACES["experiment"].format(id=id)

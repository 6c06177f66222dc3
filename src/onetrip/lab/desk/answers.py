"""What the desk's operations answer with.

These classes have no slots: a slot looks like a default to whoever makes a schema of them.
"""

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Submission:
    """An experiment that waits; `created` is False when this key or candidate was there before."""

    experiment: int
    candidate: int
    created: bool
    state: str


@dataclass(frozen=True)
class Progress:
    """How far an experiment is: `final` says that its state will not change by itself.

    `confirmation` is the experiment that measures a promising one again, with another seed: a
    prediction and a title are decided by both.
    """

    experiment: int
    state: str
    final: bool
    confirmation: int | None
    stage: str
    reason: str
    waited_s: float
    next_step: str


@dataclass(frozen=True)
class Page:
    """Some rows of many; `next_cursor` is None on the last page."""

    rows: list[Document]
    total: int
    counts_by_state: dict[str, int]
    next_cursor: int | None


@dataclass(frozen=True)
class Artifact:
    """A range of a kept file; `data_base64` instead of `text` where the bytes are not text."""

    sha256: str
    mime: str
    size_bytes: int
    offset: int
    next_offset: int | None
    text: str
    data_base64: str

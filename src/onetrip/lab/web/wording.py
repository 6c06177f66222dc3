"""How the page writes numbers and times."""

import time
from datetime import UTC, datetime


def age_text(at: float | None, now: float | None = None) -> str:
    """How long ago, in the largest unit that fits.

    >>> age_text(100.0, now=103.0), age_text(0.0, now=7300.0), age_text(None)
    ('3 s ago', '2 h ago', '')
    """
    if at is None:
        return ""
    return f"{span_text((time.time() if now is None else now) - at)} ago"


def span_text(seconds: float | None) -> str:
    """A stretch of time, in the largest unit that fits.

    >>> span_text(0.4), span_text(59.0), span_text(125.0), span_text(200000.0)
    ('0 s', '59 s', '2 min', '2 d')
    """
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def clock_text(at: float | None) -> str:
    """A moment in UTC, as a ``<time datetime>`` has it; the browser shows its own clock's.

    >>> clock_text(0.0)
    '1970-01-01T00:00:00Z'
    """
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def percent_text(share: float | None) -> str:
    """A share as a percentage.

    >>> percent_text(0.873), percent_text(0.0012), percent_text(None)
    ('87 %', '0.12 %', '')
    """
    if share is None:
        return ""
    return f"{share:.0%}".replace("%", " %") if abs(share) >= 0.1 else f"{share * 100:.2g} %"


def ratio_text(speedup: float | None, low: float | None = None, high: float | None = None) -> str:
    """A ratio to a peer, with its interval.

    >>> ratio_text(1.254, 1.2, 1.31), ratio_text(2.0)
    ('1.25× [1.20, 1.31]', '2.00×')
    """
    if speedup is None:
        return ""
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"{speedup:.2f}×{interval}"

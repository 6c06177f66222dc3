"""How a value of any kind is written in a table."""

import json

from onetrip.core.units import bytes_text, three_digits, time_text
from onetrip.lab.web.charts.axes import plain as short
from onetrip.lab.web.markup import plain
from onetrip.lab.web.wording import percent_text

_LONGEST = 400


def field_text(value: object, name: str = "") -> str:
    """A value of a field, in the unit that its name tells.

    >>> field_text(2.5, "median_ms"), field_text(None), field_text(["a"], "workloads")
    ('2.50 ms', '–', '["a"]')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_text(value, name)
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    written = plain(written)
    return written if len(written) <= _LONGEST else written[:_LONGEST] + " …"


def share_text(value: float) -> str:
    """A share as a percentage, or as a factor where it is far beyond the whole.

    >>> share_text(0.86), share_text(200000.0)
    ('86 %', '200k times')
    """
    return percent_text(value) if value < 10 else f"{short(value)} times"


def within_text(median_ms: float, low_ms: float | None, high_ms: float | None) -> str:
    """The interval of a time, in the unit of the time itself.

    >>> within_text(1.32, 1.29, 1.345), within_text(0.5, 0.49, None)
    ('[1.29, 1.34]', '')
    """
    if low_ms is None or high_ms is None:
        return ""
    factor = 1e-3 if median_ms >= 1000 else 1.0 if median_ms >= 1 else 1e3
    return f"[{three_digits(low_ms * factor)}, {three_digits(high_ms * factor)}]"


def _number_text(value: float, name: str) -> str:
    if name.endswith("_ms"):
        return time_text(value)
    if name.endswith("_bytes"):
        return bytes_text(value)
    if name.endswith("_share"):
        return share_text(value)
    # Adding nothing turns minus nought into nought.
    return str(value) if isinstance(value, int) else f"{value + 0.0:.4g}"

"""Write SVG elements: every text and every attribute is escaped, nothing carries a style."""

from collections.abc import Iterable

from markupsafe import Markup, escape

# Mean width of a character of a system font over its size, for room that is set aside for text.
_CHARACTER = 0.6
FONT_PX = 12


def element(name: str, *children: object, **attributes: object) -> Markup:
    """One element; `class_` becomes ``class``, ``stroke_width`` ``stroke-width``, None is left out.

    >>> element("text", "a < b", x=1.50, class_="tick", rx=None)
    Markup('<text x="1.5" class="tick">a &lt; b</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(str(escape(child)) for child in children if child is not None)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def group(children: Iterable[object], **attributes: object) -> Markup:
    """Elements under one ``g``."""
    return element("g", *children, **attributes)


def link(href: str, *children: object, label: str) -> Markup:
    """Elements that lead to a page. Not a tab stop: the table beside a chart has the same links."""
    return element(
        "a", element("title", label), *children, href=href, tabindex="-1", aria_label=label
    )


def dots(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Many round marks as one element; the style sheet's stroke width is their size.

    >>> dots([(1, 2), (3.5, 4)], "tried-dots")
    Markup('<path d="M1 2h0M3.5 4h0" class="tried-dots"/>')
    """
    drawn = "".join(f"M{_value(x)} {_value(y)}h0" for x, y in points)
    return element("path", d=drawn, class_=class_) if drawn else Markup("")


def text_px(text: str, font_px: float = FONT_PX) -> float:
    """Room that `text` takes, about."""
    return len(text) * font_px * _CHARACTER


def shortened(text: str, room_px: float, font_px: float = FONT_PX) -> str:
    """`text`, cut to fit in `room_px`.

    >>> shortened("a long title of an experiment", 80)
    'a long tit…'
    """
    fitting = int(room_px / (font_px * _CHARACTER))
    return text if len(text) <= fitting else text[: max(1, fitting - 1)].rstrip() + "…"


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """The ``d`` of a line through `points`.

    >>> path([(0, 0), (10, 2.5)])
    'M0 0L10 2.5'
    """
    drawn = "L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return f"M{drawn}{'Z' if close else ''}" if drawn else ""


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)

"""Fill a template. Text that goes into one is stripped of what terminals obey, and escaped."""

import json
from functools import cache
from http import HTTPStatus

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from onetrip.core.units import bytes_text, time_text
from onetrip.lab.web.charts.roofline import operations_text
from onetrip.lab.web.fields import field_text, within_text
from onetrip.lab.web.frame import TEMPLATES_DIR, frame_of, scope_of
from onetrip.lab.web.links import graph_of, place_of
from onetrip.lab.web.markup import markdown, plain, without_unseen
from onetrip.lab.web.pages import PAGES
from onetrip.lab.web.session_token import Scope
from onetrip.lab.web.wording import age_text, clock_text, percent_text, ratio_text, span_text


@cache
def templates() -> Environment:
    """The environment of all templates: escaping on, a name that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES_DIR),
        autoescape=True,
        # In every place, so that no template can forget it.
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"pages": PAGES, "place_of": place_of}
    environment.filters |= {
        "age": age_text,
        "bytes": bytes_text,
        "clock": clock_text,
        "field": field_text,
        "graph": graph_of,
        "markdown": markdown,
        "path": place_of,
        "percent": percent_text,
        "plain": plain,
        "rate": operations_text,
        "ratio": ratio_text,
        "script_data": script_data,
        "span": span_text,
        "time": time_text,
        "within": within_text,
    }
    return environment


def _finalize(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render(
    request: Request, template: str, *, page: str, title: str, status: int = 200, **context: object
) -> HTMLResponse:
    """Answer with a template that extends ``base.html``.

    Parameters
    ----------
    page : the key of the entry in the navigation that is lit.
    title : of the browser's window.
    **context : what the template asks for.
    """
    frame = frame_of(request)
    scope = scope_of(request)
    with_frame = {
        "page": page,
        "title": title,
        "csrf": frame.keys.csrf(scope),
        "may_write": scope is Scope.ADMIN and not frame.read_only,
        "seq": request.scope.get("onetrip.seq", frame.tail.seq),
        "query": request.query_params,
    }
    html = templates().get_template(template).render(with_frame | context)
    # Drawings and sources come ready made, past the templates' own care.
    return HTMLResponse(without_unseen(html), status)


def problem_page(request: Request, status: HTTPStatus, text: str) -> HTMLResponse:
    """What went wrong, in the page's own frame."""
    return render(
        request,
        "problem.html",
        page="",
        title=status.phrase,
        status=status,
        phrase=status.phrase,
        text=text,
    )


def script_data(value: object) -> Markup:
    r"""JSON for a ``<script type="application/json">`` element, which it cannot end.

    >>> script_data({"title": "</script><!--"})
    Markup('{"title": "\\u003c/script\\u003e\\u003c!--"}')
    """
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)

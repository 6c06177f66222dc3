"""Hostile text in every text field of the database: no page takes it for markup, script or style.

The payload goes into every text column of every table that takes it, and into every text of every
JSON document; then every page is read as a browser reads it.
"""

import json
import sqlite3
from html.parser import HTMLParser

import pytest

from onetrip.lab.store.database import connect, transaction
from onetrip.lab.web.markup import markdown, plain

PAYLOAD = (
    "</script></style></title><script data-pwned>alert(1)</script>"
    "<img src=x onerror=alert(1) data-pwned>\"><svg onload=alert(1) data-pwned>' onmouseover='x"
    " [a](javascript:alert(1)) [b](data:text/html,x) ![c](http://evil.example/p.png)"
    " <javascript:alert(1)> {{7*7*191}} \x1b[31mred\x1b]8;;http://evil.example\x07 \u202egnp"
)
# What gives the page its form; a hostile value there is an error of the lab, not text to show.
FORM = {"schema_migration", "sqlite_sequence"}


class Reader(HTMLParser):
    """Collects what a browser would obey."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.obeyed = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            value = (value or "").strip().lower()
            if name == "data-pwned" or name.startswith("on") or name == "style":
                self.obeyed.append((tag, name, value))
            if name in ("href", "src", "action", "formaction", "xlink:href", "data-src"):
                harmless = value.startswith(("/", "#", "?", "http://", "https://"))
                if not harmless or value.startswith(("//", "/\\")):
                    self.obeyed.append((tag, name, value))
            if name == "src" and value.startswith("http"):
                self.obeyed.append((tag, name, value))
        if tag == "script" and dict(attrs).get("type") != "application/json":
            if not (dict(attrs).get("src") or "").startswith("/static/"):
                self.obeyed.append((tag, "inline", ""))
        if tag in ("style", "iframe", "object", "embed", "base"):
            self.obeyed.append((tag, "", ""))

    def handle_data(self, data):
        self.text.append(data)


def poison(connection):
    """Put the payload wherever text fits; return the columns that took it."""
    taken = []
    # They keep declared hypotheses and tolerances as they are; an attacker declares new ones.
    for (trigger,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
    ).fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'words%'"
    ).fetchall()
    for (table,) in tables:
        # A column that names another row is no text.
        keys = {row["from"] for row in connection.execute(f"PRAGMA foreign_key_list({table})")}
        for column in connection.execute(f"PRAGMA table_info({table})").fetchall():
            name = column["name"]
            if column["type"] != "TEXT" or name in keys or table in FORM:
                continue
            try:
                with transaction(connection):
                    _poison_column(connection, table, name)
                taken.append(f"{table}.{name}")
            except sqlite3.DatabaseError:
                continue
    with transaction(connection):
        connection.execute("UPDATE blob SET data = ?", (PAYLOAD.encode(),))
    return taken


def _poison_column(connection, table, name):
    sample = connection.execute(
        f"SELECT {name} FROM {table} WHERE {name} LIKE '{{%' OR {name} LIKE '[%' LIMIT 1"
    ).fetchone()
    if sample is None:
        connection.execute(f"UPDATE {table} SET {name} = {name} || ?", (PAYLOAD,))
        return
    for row in connection.execute(f"SELECT DISTINCT {name} FROM {table}").fetchall():
        hostile = json.dumps(_hostile(json.loads(row[0])))
        connection.execute(f"UPDATE {table} SET {name} = ? WHERE {name} = ?", (hostile, row[0]))


def _hostile(value):
    if isinstance(value, dict):
        return {key: _hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hostile(inner) for inner in value]
    return value + PAYLOAD if isinstance(value, str) else value


def pages_of(app, connection):
    """Address of every page, those of single things for several of them."""
    from starlette.routing import Route

    def routes(found):
        for route in found:
            inner = getattr(route, "original_router", None)
            if inner is not None:
                yield from routes(inner.routes)
            elif isinstance(route, Route):
                yield route

    for route in routes(app.routes):
        if "GET" not in (route.methods or ()) or route.path in ("/events", "/samples"):
            continue
        if "{" not in route.path:
            yield route.path
            continue
        table = {"/hypotheses": "hypothesis", "/problems": "problem", "/candidates": "candidate"}
        name = table.get("/" + route.path.split("/")[1], "experiment")
        for (number,) in connection.execute(f"SELECT id FROM {name} ORDER BY id % 7, id LIMIT 12"):
            yield route.path.replace("{id}", str(number))


@pytest.fixture
def hostile(filled):
    with_payload = connect(filled(60))
    taken = poison(with_payload)
    yield with_payload, taken
    with_payload.close()


def test_hostile_text_stays_text_on_every_page(hostile, make_page):
    connection, taken = hostile
    expected = {
        "candidate.title", "experiment.why", "experiment.reason", "learning.text", "event.text",
        "hypothesis.title", "hypothesis.rationale", "problem.brief", "problem.name", "worker.name",
        "campaign.title", "attempt.stage", "attempt.reason", "check_result.message",
        "flag.evidence",
        "priority_change.why", "champion.why", "device_sample.sample", "attempt.evidence",
    }  # fmt: skip
    assert expected <= set(taken), expected - set(taken)
    page = make_page()
    browser = page.browser()
    shown = 0
    for path in sorted(set(pages_of(page.app, connection))):
        answer = browser.get(path, headers={"accept": "text/html"})
        assert answer.status_code < 500, (path, answer.text[:500])
        if answer.is_redirect:
            assert answer.headers["location"].startswith("/"), path
            continue
        kind = answer.headers["content-type"]
        if not kind.startswith("text/html"):
            # A browser shows plain text as text, and anything else not at all.
            assert kind.startswith(("text/plain", "application/json")), (path, kind)
            continue
        reader = Reader()
        reader.feed(answer.text)
        assert reader.obeyed == [], path
        seen = "".join(reader.text)
        assert "\x1b" not in seen, path
        assert "\u202e" not in seen, path
        assert str(7 * 7 * 191) not in seen, path
        shown += "<img src=x onerror=alert(1) data-pwned>" in seen
    # The texts are shown, as text: a page without them would prove nothing.
    assert shown > 10


def test_hostile_text_stays_text_in_the_exported_file(hostile):
    """It has one script and one style of its own, which its policy names."""
    from onetrip.lab.web.static_export import campaign_page

    connection, _ = hostile
    page = campaign_page(connection)
    reader = Reader()
    reader.feed(page)
    assert sorted(reader.obeyed) == [("script", "inline", ""), ("style", "", "")]
    seen = "".join(reader.text)
    assert "<img src=x onerror=alert(1) data-pwned>" in seen
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_reader_sees_what_a_browser_obeys():
    reader = Reader()
    reader.feed(
        '<p title="<b>">&lt;img onerror=x&gt;</p><img src=x onerror=alert(1)><script>1</script>'
        '<a href="javascript:x">a</a><a href="//evil">b</a><i style="x">c</i>'
    )
    assert len(reader.obeyed) == 6
    assert "<img onerror=x>" in reader.text


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](java\tscript:alert(1))",
        "[a](data:text/html;base64,PHN2Zz4=)",
        "[a](vbscript:x)",
        "[a](file:///etc/passwd)",
        "[a](//evil.example)",
        "[a](/\\evil.example)",
        "<javascript:alert(1)>",
        "![a](http://evil.example/p.png)",
        "<img src=x onerror=alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        '[a](http://ok.example "\\" onmouseover=\\"alert(1)")',
        "`<script>alert(1)</script>`",
        "```\n</code><script>alert(1)</script>\n```",
        "| a |\n|---|\n| <b onclick=x> |",
    ],
)
def test_markdown_gives_nothing_to_obey(text):
    reader = Reader()
    reader.feed(str(markdown(text)))
    assert reader.obeyed == []


def test_links_of_markdown_lead_away_without_telling_from_where():
    assert 'rel="noopener noreferrer nofollow"' in markdown("[a](https://example.org)")
    assert 'href="/experiments/12"' in markdown("[#12](/experiments/12)")
    assert "<em>" in markdown("*so*")


def test_plain_keeps_lines_and_drops_commands():
    assert plain("a\tb\nc\r\x1b[2Jd\x1b]0;title\x07e\x9b31mf\x00g") == "a\tb\ncde31mfg"

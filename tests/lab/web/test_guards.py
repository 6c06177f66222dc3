"""Each guard taken away lets its attack through: the tests of the gate can fail, and do for that.

An attack is a request that the gate refuses. Here the one guard that stands against it is put out
of action, and the same request must get in; if it did not, another guard would hide the loss.
"""

import pytest

from onetrip.lab.web import body, markup, render
from onetrip.lab.web.security import Gate
from onetrip.lab.web.session_token import Keys, Scope


def none(*_, **__):
    return None


def evil_host(page, number):
    return page.bearer(Scope.READ).get("/log", headers={"host": "evil.example"})


def wrong_token(page, number):
    return page.client(headers={"authorization": "Bearer wrong"}).get("/log")


def small_scope(page, number):
    return page.bearer(Scope.READ).post(f"/queue/{number}/pin")


def other_origin(page, number):
    browser = page.browser()
    headers = browser.page | {"origin": "http://evil.example"}
    return browser.post(f"/queue/{number}/pin", headers=headers)


def giant_body(page, number):
    content = b'{"before": null}' + b" " * body.LARGEST_BODY
    headers = {"content-type": "application/json"}
    return page.bearer(Scope.ADMIN).post(f"/queue/{number}/move", content=content, headers=headers)


GUARDS = {
    "host": (evil_host, Gate, "_check_host", none, 421),
    "token": (wrong_token, Keys, "scope_of_token", lambda self, _: Scope.ADMIN, 401),
    "scope": (small_scope, Gate, "_check_scope", none, 403),
    "origin": (other_origin, Gate, "_check_origin", none, 403),
    "size": (giant_body, body, "LARGEST_BODY", 1 << 40, 413),
}


@pytest.mark.parametrize("name", GUARDS)
def test_without_its_guard_the_attack_succeeds(page, queue_one, monkeypatch, name):
    attack, owner, guard, nothing, refused = GUARDS[name]
    number = queue_one()
    queue_one()
    assert attack(page, number).status_code == refused
    content_limit = body.LARGEST_BODY
    monkeypatch.setattr(owner, guard, nothing)
    if name == "size":
        monkeypatch.setitem(giant_body.__globals__, "body", _Limit(content_limit))
    assert attack(page, number).status_code == 200


class _Limit:
    def __init__(self, value):
        self.LARGEST_BODY = value


def test_without_escaping_hostile_text_would_be_obeyed(page, say, monkeypatch):
    hostile = "<img src=x onerror=alert(1)>"
    say(hostile)
    assert hostile not in page.browser().get("/log").text
    careless = render.templates.__wrapped__()
    careless.autoescape = False
    monkeypatch.setattr(render, "templates", lambda: careless)
    assert hostile in page.browser().get("/log").text


def test_without_its_check_of_links_markdown_would_run_scripts(monkeypatch):
    hostile = "[a](javascript:alert(1))"
    assert "href" not in markup.markdown(hostile)
    monkeypatch.setattr(markup._parser(), "validateLink", lambda _: True)
    assert 'href="javascript:' in markup.markdown(hostile)

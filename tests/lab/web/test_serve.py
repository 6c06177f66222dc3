"""Serving: where it listens, to whom, what it prints, and how it ends."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import httpx
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.lab.web import serve as module
from onetrip.lab.web.listen import listen
from onetrip.lab.web.security import LOOPBACK_HOSTS
from onetrip.lab.web.session_token import kept_secret, token_path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab.example"])
def test_other_machines_are_let_in_on_purpose_only(database, host):
    with pytest.raises(ArgumentError, match="--allow-remote"):
        module.serve(database, host=host)
    assert not token_path(database).exists()


def test_all_addresses_need_a_list_of_names(database):
    with pytest.raises(ArgumentError, match="allowed_hosts"):
        module.serve(database, host="0.0.0.0", allow_remote=True)


@pytest.mark.parametrize(
    ("host", "allow_remote", "allowed", "expected"),
    [
        ("127.0.0.1", False, (), LOOPBACK_HOSTS),
        ("localhost", False, (), LOOPBACK_HOSTS),
        ("::1", False, ("lab",), (*LOOPBACK_HOSTS, "lab")),
        ("192.0.2.1", True, (), ("192.0.2.1",)),
        ("2001:db8::1", True, ("lab",), ("[2001:db8::1]", "lab")),
        ("0.0.0.0", True, ("lab",), (*LOOPBACK_HOSTS, "lab")),
    ],
)
def test_names_it_answers_to(host, allow_remote, allowed, expected):
    assert module._hosts(host, allow_remote, allowed) == expected


def test_port_that_is_taken(database):
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ArgumentError, match="0 takes a free one"):
            module.serve(database, port=port)


def test_secret_is_made_once_for_its_owner_only(database):
    secret = kept_secret(database)
    assert len(secret) >= 32
    assert stat.S_IMODE(token_path(database).stat().st_mode) == 0o600
    assert kept_secret(database) == secret


def test_secret_that_others_can_read_is_refused(database):
    kept_secret(database)
    token_path(database).chmod(0o640)
    with pytest.raises(DataError, match="chmod 600"):
        kept_secret(database)


@pytest.mark.parametrize("content", ["", "short\n"])
def test_file_without_a_secret_is_refused(database, content):
    path = token_path(database)
    path.touch(mode=0o600)
    path.write_text(content, "ascii")
    with pytest.raises(DataError, match="holds no token"):
        kept_secret(database)


CODE = """
import json, sys
from pathlib import Path
from onetrip.lab.web.serve import serve
serve(Path(sys.argv[1]), say=lambda line: print(line, flush=True))
print(json.dumps(sorted({"torch", "triton", "numpy"} & sys.modules.keys())), flush=True)
"""


def test_command_serves_until_interrupted(database):
    """The whole page: agents' and workers' ways in too; without torch, and without leaving it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CODE, str(database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("The lab's page: http://127.0.0.1:"), line
        url = line.partition(": ")[2].strip()
        with httpx.Client(follow_redirects=True, timeout=10) as browser:
            shown = _patiently(browser, url)
            assert "onetrip lab" in shown.text
            base = url.partition("/?")[0]
            token = url.partition("token=")[2]
            bearer = {"authorization": f"Bearer {token}"}
            # The doors answer: not with a missing page.
            asked = browser.post(f"{base}/mcp", json={}, headers=bearer)
            assert asked.status_code in (400, 406), asked.text
            asked = browser.post(f"{base}/api/work/claim", json={}, headers=bearer)
            assert asked.status_code == 422, asked.text
            for path in ("/mcp", "/api/work/claim"):
                evil = {"host": "evil.example", **bearer}
                assert browser.post(base + path, json={}, headers=evil).status_code == 421
                assert browser.post(base + path, json={}).status_code in (401, 403)
            with browser.stream("GET", f"{base}/events") as stream:
                assert stream.status_code == 200
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert json.loads(out.splitlines()[-1]) == []
    assert token not in out.partition("\n")[2] + err
    assert "Traceback" not in err


def _patiently(browser, url):
    deadline = time.monotonic() + 15
    while True:
        try:
            return browser.get(url)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_read_only_page_has_no_other_doors(served):
    with served(read_only=True) as address:
        bearer = {"authorization": f"Bearer {address.secret}"}
        with httpx.Client(base_url=address.url, headers=bearer) as client:
            assert client.get("/queue").status_code == 200
            assert client.get("/mcp").status_code == 404
            assert client.post("/mcp", json={}).status_code == 403

"""Every command of the guide to OAS runs, in the order of the page."""

import http.server
import re
import shlex
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onetrip.cli.main import main
from onetrip.data.sources.oas.synthetic.folder import make_fixture

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "oas.md"
# What leaves something set aside ends with 3, and says so.
MAY_END_WITH = {0, 3}
SMALL = {"make-fixture": ["--rows", "200"]}
# Runs in tests/cli/test_data_oas.py.
RUNS_ELSEWHERE = {"demo"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path):
    """A server that has units where OPIG has them, and the script that names them."""
    store = tmp_path / "site"
    made = make_fixture(store, rows=120, units=3, paired_units=1, defects=["short_row"])
    names = []
    for one in made:
        subset, study, file = one.path.split("/")
        target = store / "webapps" / "ngsdb" / subset / study / "csv" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (store / one.path).rename(target)
        names.append(target.relative_to(store).as_posix())
    handler = partial(Quiet, directory=str(store))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    script = "".join(f"wget {base}/{name}\n" for name in names)
    (tmp_path / "bulk_download.sh").write_text(script)
    yield
    server.shutdown()
    server.server_close()


def commands():
    for block in re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.S):
        yield from (shlex.split(line, comments=True) for line in block.splitlines())


@pytest.mark.usefixtures("site")
def test_every_command_of_the_guide_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = []
    for program, *words in commands():
        assert program == "onetrip"
        if RUNS_ELSEWHERE & set(words):
            continue
        small = next((more for name, more in SMALL.items() if name in words), [])
        workers = ["--workers", "1"] if {"run", "ingest"} & set(words) else []
        with pytest.raises(SystemExit) as end:
            main([*words, *small, *workers])
        assert (end.value.code or 0) in MAY_END_WITH, (words, capsys.readouterr().err)
        ran.append(words[:3])
    assert len(ran) >= 9
    names: dict[str, Any] = {}
    (code,) = re.findall(r"^```py\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.S)
    exec(code, names)
    assert names["ids"].shape[0] > 0

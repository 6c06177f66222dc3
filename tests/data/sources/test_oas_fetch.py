"""Fetching from a server that drops connections, lies about lengths and sends web pages."""

import http.server
import re
import resource
import threading
import time
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.sources.oas.fetch import Wanted, fetch
from onetrip.data.sources.oas.manifest import (
    Entry,
    read_folder,
    read_manifest,
    read_script,
    summary,
    write_manifest,
)
from onetrip.data.sources.oas.synthetic.defects import DEFECTS, unit_text

ROWS = 40


class Server(http.server.ThreadingHTTPServer):
    """Serves one unit for every path; `mood` says how badly."""

    daemon_threads = True

    def __init__(self, mood, unit):
        super().__init__(("127.0.0.1", 0), Handler)
        self.mood, self.unit = mood, unit
        self.asked = Counter()
        self.ranges = []
        self.closing = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        server.asked[self.path] += 1
        nth, unit = server.asked[self.path], server.unit
        server.ranges.append(self.headers.get("Range"))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked and server.mood != "ignores_range" else 0
        self.close_connection = True
        match server.mood:
            case "missing":
                return self.answer(404, b"no such unit")
            case "busy" if nth < 3:
                return self.answer(503, b"later")
            case "web_page" if nth < 3:
                return self.answer(200, b"<!DOCTYPE html><p>maintenance" + b" " * 5000)
            case "always_web_page":
                return self.answer(200, b"<!DOCTYPE html><p>gone")
            case "corrupt" if nth == 1:
                return self.answer(200, DEFECTS["corrupt_gzip"].spoil(unit_text(ROWS, 0), 0))
            case "says_too_much":
                if start >= len(unit):
                    return self.answer(416, b"", {"Content-Range": f"bytes */{len(unit) + 500}"})
                return self.partial(start, unit[start:], len(unit) + 500)
            case "says_too_little" if nth < 3:
                return self.answer(200, unit[: len(unit) // 2])
            case "never_ends" if "Birch" in self.path:
                return self.drip(unit)
            case "falls_silent" if "Birch" in self.path:
                return self.partial(0, unit[: len(unit) // 2], len(unit), still_open=True)
            case "drops" | "ignores_range":
                if start >= len(unit):
                    return self.answer(416, b"", {"Content-Range": f"bytes */{len(unit)}"})
                stop = len(unit) if nth > 6 else min(len(unit), start + len(unit) // 4 + 1)
                return self.partial(start, unit[start:stop], len(unit))
        return self.partial(start, unit[start:], len(unit))

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, unit):
        """All but the last byte at once, and then nothing new, forever."""
        self.answer(200, unit[:-1], {"Content-Length": str(10**9)})
        while not self.server.closing.wait(0.02):
            self.wfile.write(b"x")

    def partial(self, start, body, total, *, still_open=False):
        """Less than was promised, perhaps; then the line goes dead, or stays open."""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.write(body)
        if still_open:
            self.wfile.flush()
            self.server.closing.wait()


@pytest.fixture(scope="module")
def unit():
    return unit_text(ROWS, 0).compressed()


@pytest.fixture
def served(unit, tmp_path):
    servers = []

    def start(mood, names=("unpaired/Alder_2019/csv/A_Heavy_IGHG.csv.gz",)):
        server = Server(mood, unit)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/webapps/ngsdb"
        script = tmp_path / "bulk_download.sh"
        script.write_text("".join(f"wget {base}/{name}\n" for name in names))
        return server, read_script(script).entries

    yield start
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


def get(entries, folder, wanted=None, attempts=4):
    return fetch(entries, folder, wanted, attempts=attempts, wait_s=0.001, timeout_s=5)


@pytest.mark.parametrize(
    ("mood", "requests"),
    [("kind", 1), ("drops", 4), ("busy", 3), ("web_page", 3), ("corrupt", 2),
     ("says_too_little", 3)],
)  # fmt: skip
def test_the_unit_comes_whole(mood, requests, served, unit, tmp_path):
    _, entries = served(mood)
    (result,) = get(entries, tmp_path)
    assert (result.state, result.requests) == ("fetched", requests), result.why
    path = tmp_path / "unpaired" / "Alder_2019" / "A_Heavy_IGHG.csv.gz"
    assert path.read_bytes() == unit
    assert list(path.parent.iterdir()) == [path]


def test_a_broken_download_goes_on_where_it_ended(served, unit, tmp_path):
    server, entries = served("drops")
    get(entries, tmp_path)
    quarter = len(unit) // 4 + 1
    assert server.ranges == [None, *(f"bytes={n * quarter}-" for n in (1, 2, 3))]


def test_a_part_of_an_earlier_run_is_used(served, unit, tmp_path):
    server, entries = served("kind")
    folder = tmp_path / "unpaired" / "Alder_2019"
    folder.mkdir(parents=True)
    (folder / "A_Heavy_IGHG.csv.gz.part").write_bytes(unit[:1000])
    (result,) = get(entries, tmp_path)
    assert (result.state, server.ranges) == ("fetched", ["bytes=1000-"])
    (again,) = get(entries, tmp_path)
    assert (again.state, again.requests) == ("there", 0)


def test_a_server_that_knows_no_ranges_starts_again(served, unit, tmp_path):
    _, entries = served("ignores_range")
    (result,) = get(entries, tmp_path, attempts=8)
    assert result.state == "fetched"
    assert (tmp_path / entries[0].path).read_bytes() == unit


@pytest.mark.parametrize(
    ("mood", "why", "requests"),
    [
        ("missing", "404", 1),
        ("always_web_page", "web page", 4),
        ("says_too_much", "the server has", 5),
    ],
)
def test_what_cannot_be_had_is_told_and_is_no_unit(mood, why, requests, served, tmp_path):
    _, entries = served(mood)
    (result,) = get(entries, tmp_path)
    assert result.state == "failed"
    assert why in result.why
    assert result.requests <= requests + 1
    assert not list(tmp_path.rglob("*.csv.gz"))


def test_unwanted_units_end_at_line_1(served, unit, tmp_path):
    names = [f"unpaired/{study}/csv/A_Heavy_IGHG.csv.gz" for study in ("Alder_2019", "Birch_2020")]
    _, entries = served("kind", names)
    results = get(entries, tmp_path, Wanted(study="Birch_2020", species="human", chain="heavy"))
    assert [(r.path.split("/")[1], r.state) for r in results] == [("Birch_2020", "fetched")]
    (mouse, _) = get(entries, tmp_path, Wanted(species="mouse"))
    assert (mouse.state, mouse.why) == ("skipped", "Species is human")
    (big, _) = get(entries, tmp_path, Wanted(max_bytes=len(unit) - 1))
    assert (big.state, big.why) == ("skipped", f"it has {len(unit)} bytes")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("mood", ["never_ends", "falls_silent"])
def test_what_ends_a_fetch_ends_the_downloads_at_hand(mood, served, unit, tmp_path):
    names = [f"unpaired/{study}/csv/A_Heavy_IGHG.csv.gz" for study in ("Alder_2019", "Birch_2020")]
    server, entries = served(mood, names)
    slow = tmp_path / "unpaired" / "Birch_2020" / "A_Heavy_IGHG.csv.gz.part"
    # A fetch that goes on ends with the server, and so fails here in place of hanging.
    limit = threading.Timer(8, server.closing.set)
    limit.start()

    def ctrl_c(result):
        while not server.closing.is_set():
            if slow.exists() and slow.stat().st_size >= 1000:
                raise KeyboardInterrupt
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        fetch(entries, tmp_path, timeout_s=30, attempts=1, told=ctrl_c)
    limit.cancel()
    assert not server.closing.is_set(), "it ended with its server, not with Ctrl-C"
    # What came stays, for the next run to go on with. Who waits for a silent server is left behind.
    assert slow.stat().st_size >= 1000
    if mood == "never_ends":
        assert not [one for one in threading.enumerate() if one.name.startswith("onetrip-fetch")]


def test_a_full_disk_ends_a_fetch(served, tmp_path):
    names = [f"unpaired/Alder_2019/csv/{n}_Heavy_IGHG.csv.gz" for n in range(8)]
    server, entries = served("kind", names)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match="S01: the disk of"):
            fetch(entries, tmp_path, connections=1, wait_s=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sum(server.asked.values()) <= 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"connections": 0}, "`connections` must be at least 1"),
        ({"attempts": 0}, "`attempts` must be at least 1"),
        ({"wait_s": -1.0}, "`wait` must be"),
        ({"wanted": Wanted(study="Birhc_2020")}, "Did you mean 'Birch_2020'"),
    ],
)
def test_what_nobody_can_have_meant_is_refused(wrong, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        fetch([Entry("unpaired/Birch_2020/A_Heavy_IGHG.csv.gz")], tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_what_is_no_manifest_is_refused(oas_folder, tmp_path):
    pq.write_table(pa.table({"unit_id": ["a"]}), tmp_path / "rows.parquet")
    (tmp_path / "empty.parquet").touch()
    for name in ("rows", "empty"):
        with pytest.raises(DataError, match="`manifest` must be what"):
            read_manifest(tmp_path / f"{name}.parquet")


def test_script_of_the_site(tmp_path):
    base = "https://opig.stats.ox.ac.uk/webapps/ngsdb"
    script = tmp_path / "bulk_download.sh"
    script.write_text(
        f"#!/bin/sh\nwget {base}/unpaired/Levin_2017/csv/A_Heavy_Bulk.csv.gz\r\n"
        f"wget {base}/pairedEccles_2020/csv/B_paired.csv.gz\n"
        f"wget {base}/unpaired/Thornqvist_2018/csv/A_Heavy_Bulk.csv.gz\n\n"
        f"wget {base}/unpaired/..%2F..%2Fetc/csv/C.csv.gz\n"
        f"wget {base}/unpaired/X/csv/%2e%2e.csv.gz\nrm -rf somewhere\n"
    )
    manifest = read_script(script)
    assert [entry.path for entry in manifest.entries] == [
        "paired/Eccles_2020/B_paired.csv.gz",
        "unpaired/Levin_2017/A_Heavy_Bulk.csv.gz",
        "unpaired/Thornqvist_2018/A_Heavy_Bulk.csv.gz",
    ]
    assert manifest.entries[0].url == f"{base}/paired/Eccles_2020/csv/B_paired.csv.gz"
    assert manifest.entries[1].twin == manifest.entries[2].path
    assert len(manifest.refused) == 3


def test_manifest_of_a_folder_says_what_line_1_says(oas_folder, tmp_path):
    manifest = read_folder(oas_folder)
    assert summary(manifest) == {
        **{"units": 6, "unpaired": 4, "paired": 2, "studies": 4},
        **{"twins": 0, "faults": 0, "refused_lines": 0},
    }
    assert {e.rows for e in manifest.entries} == {200, 60, 50, 3, 40, 30}
    write_manifest(manifest, tmp_path / "manifest.parquet")
    assert read_manifest(tmp_path / "manifest.parquet") == manifest


def test_manifest_tells_copies_and_broken_units(oas_folder, tmp_path):
    (tmp_path / "page.csv.gz").write_bytes(b"<html>")
    source = next(oas_folder.rglob("*IGHM.csv.gz"))
    for name in ("one.csv.gz", "two.csv.gz"):
        (tmp_path / name).write_bytes(source.read_bytes())
    one, page, two = read_folder(tmp_path).entries
    assert (one.twin, page.fault, two.twin) == ("two.csv.gz", "U02", "one.csv.gz")


def test_script_without_addresses_is_refused(tmp_path):
    script = tmp_path / "x.sh"
    script.write_text("echo\n")
    with pytest.raises(DataError, match="wget https"):
        read_script(script)

"""Looks at the machine: taken once a second, kept a day, then thinned to minutes."""

import json
import time

import pytest

from onetrip.lab.web.devices import Sample
from onetrip.lab.web.sampler import Sampler
from onetrip.lab.web.samples import MOST_POINTS, keep_samples, newest_samples, series, thin

DAY_S = 24 * 3600.0


def samples(start, count, *, device="cuda:0", host="here"):
    return [Sample(start + n, host, device, {"power_w": 100 + n % 60}) for n in range(count)]


def rows(connection):
    found = connection.execute("SELECT * FROM device_sample ORDER BY device, at")
    return [(row["device"], row["at"], json.loads(row["sample"])) for row in found]


def test_two_lookers_share_a_row(connection):
    keep_samples(connection, samples(0, 3))
    keep_samples(connection, samples(1, 3))
    assert [at for _, at, _ in rows(connection)] == [0, 1, 2, 3]


def test_old_samples_become_minutes(connection):
    now = 10 * DAY_S
    keep_samples(connection, samples(now - DAY_S - 180, 180))
    keep_samples(connection, samples(now - DAY_S - 60, 60, device="cpu"))
    keep_samples(connection, samples(now - 5, 5))
    assert thin(connection, now) == 240
    found = rows(connection)
    assert [(device, at) for device, at, _ in found] == [
        ("cpu", now - DAY_S - 60),
        *[("cuda:0", now - DAY_S - 180 + 60 * n) for n in range(3)],
        *[("cuda:0", now - 5 + n) for n in range(5)],
    ]
    assert found[0][2] == {"power_w": pytest.approx(129.5), "span_s": 60}


def test_thinning_again_changes_nothing(connection):
    now = 10 * DAY_S
    keep_samples(connection, samples(now - DAY_S - 120, 240))
    thin(connection, now)
    before = rows(connection)
    assert thin(connection, now) == 0
    assert rows(connection) == before


def test_only_whole_minutes_are_thinned(connection):
    """A mean of half a minute would take the place of the whole one's."""
    now = 10 * DAY_S + 30
    keep_samples(connection, samples(10 * DAY_S - DAY_S, 60))
    assert thin(connection, now) == 0
    assert thin(connection, now + 30) == 60


def test_much_is_thinned_in_short_transactions(connection):
    now = 10 * DAY_S
    keep_samples(connection, samples(now - DAY_S - 8000, 8000))
    begun = []
    connection.set_trace_callback(lambda text: begun.append(text) if "BEGIN" in text else None)
    assert thin(connection, now) == 8000
    connection.set_trace_callback(None)
    assert len(begun) == 3
    assert thin(connection, now, since=now - 25 * 3600) == 0


def test_newest_of_each_device_that_was_seen_lately(connection):
    keep_samples(connection, samples(1000, 5) + samples(1000, 3, device="cpu"))
    keep_samples(connection, samples(500, 5, device="cuda:1"))
    found = newest_samples(connection, within_s=60, now=1010)
    assert [(sample.device, sample.at) for sample in found] == [("cpu", 1002), ("cuda:0", 1004)]


def test_newest_is_found_at_once_among_a_day(connection):
    """By the number of steps, which no load of the machine changes."""
    for device in ("cpu", "cuda:0", "cuda:1"):
        for host in ("here", "there"):
            keep_samples(connection, samples(0, 3000, device=device, host=host))
    steps = []
    connection.set_progress_handler(lambda: steps.append(1), 10)
    found = newest_samples(connection, now=3000.0)
    connection.set_progress_handler(None, 0)
    assert [(sample.device, sample.host, sample.at) for sample in found] == [
        (device, host, 2999) for device in ("cpu", "cuda:0", "cuda:1") for host in ("here", "there")
    ]
    assert len(steps) < 100


def test_series_joins_what_is_kept_and_what_is_pending(connection):
    keep_samples(connection, samples(0, 10))
    found = series(connection, "here", "cuda:0", since=5, pending=samples(8, 4))
    assert found == {"at": [5, 6, 7, 8, 9, 10, 11], "power_w": [105, 106, 107, 100, 101, 102, 103]}
    assert series(connection, "there", "cuda:0", since=0) == {"at": []}


def test_series_is_broken_where_nobody_looked(connection):
    keep_samples(connection, samples(0, 2) + samples(100, 2) + samples(104, 1))
    found = series(connection, "here", "cuda:0", since=0)
    assert found["at"] == [0, 1, 2, 100, 101, 104]
    assert found["power_w"] == [100, 101, None, 100, 101, 100]


def test_series_of_minutes_is_whole(connection):
    now = 10 * DAY_S
    keep_samples(connection, samples(now - DAY_S - 240, 240))
    thin(connection, now)
    found = series(connection, "here", "cuda:0", since=0)
    assert len(found["at"]) == 4
    assert None not in found["power_w"]


def test_series_has_no_more_points_than_a_chart(connection):
    keep_samples(connection, samples(0, 3 * MOST_POINTS))
    found = series(connection, "here", "cuda:0", since=0)
    assert MOST_POINTS / 2 < len(found["at"]) <= MOST_POINTS
    assert None not in found["power_w"]


def test_sampler_keeps_what_it_saw_when_it_stops(database, connection):
    looks = []

    def reader():
        looks.append(time.time())
        return [("cuda:0", {"power_w": 300.0, "name": "toy"})]

    sampler = Sampler(database, [reader])
    began = time.time()
    with sampler.running():
        deadline = time.monotonic() + 20
        while len(looks) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    passed_s = time.time() - began
    found = rows(connection)
    assert 2 <= len(found) <= len(looks) <= passed_s + 2
    assert all(at == int(at) for _, at, _ in found)
    assert sampler.pending() == []


def test_sampler_outlives_a_database_that_takes_nothing(database, connection, caplog, monkeypatch):
    import sqlite3

    from onetrip.lab.web import sampler as module

    monkeypatch.setattr(module, "_KEEP_EVERY", 1)
    failures = []

    def refuse(connection, samples):
        if not failures:
            failures.append(1)
            raise sqlite3.OperationalError("disk is full")
        return keep_samples(connection, samples)

    monkeypatch.setattr(module, "keep_samples", refuse)
    sampler = Sampler(database, [lambda: [("cpu", {"utilisation": 0.5})]])
    with sampler.running():
        deadline = time.monotonic() + 10
        while not sampler.latest and time.monotonic() < deadline:
            time.sleep(0.02)
        while not failures and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "disk is full" in caplog.text
    assert len(rows(connection)) >= 1

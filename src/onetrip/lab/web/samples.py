"""Samples of devices in the database: keep them, thin them, make series of them."""

import json
import math
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from onetrip.lab.store.database import transaction
from onetrip.lab.web.devices import Sample

_KEPT_WHOLE_S = 24 * 3600
_MINUTE_S = 60
_HOUR_S = 3600
# A sample with this key is a mean already.
_SPAN = "span_s"
SERIES = ("utilisation", "memory_bytes", "sm_clock_mhz", "power_w", "temperature_c")
# More points than a chart has pixels are only slow.
MOST_POINTS = 1200
# A look may come late; after so long nobody looked.
_LONGEST_STEP_S = 5.0


def keep_samples(connection: sqlite3.Connection, samples: Iterable[Sample]) -> None:
    """Write samples; of two of one second the first stays."""
    rows = [
        (sample.at, sample.host, sample.device, json.dumps(dict(sample.values)))
        for sample in samples
    ]
    with transaction(connection):
        connection.executemany(
            "INSERT INTO device_sample (at, host, device, sample) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            rows,
        )


def thin(connection: sqlite3.Connection, now: float, *, since: float = 0.0) -> int:
    """Put means of a minute in the place of samples of more than a day ago; return how many went.

    Only whole minutes are thinned. What lies before `since` is known to be thin. Each hour is a
    transaction of its own: after a long pause there is much to do, and others write too.
    """
    before = math.floor((now - _KEPT_WHOLE_S) / _MINUTE_S) * _MINUTE_S
    thinned = 0
    for device, host in _devices(connection):
        query = "SELECT min(at) FROM device_sample WHERE device = ? AND host = ? AND at >= ?"
        first = connection.execute(query, (device, host, since)).fetchone()[0]
        start = before if first is None else math.floor(first / _MINUTE_S) * _MINUTE_S
        for begin in range(int(start), int(before), _HOUR_S):
            end = min(begin + _HOUR_S, before)
            with transaction(connection):
                thinned += _thin_stretch(connection, device, host, begin, end)
    return thinned


def _thin_stretch(
    connection: sqlite3.Connection, device: str, host: str, begin: float, end: float
) -> int:
    stretch = (
        "FROM device_sample WHERE device = ? AND host = ? AND at >= ? AND at < ?"
        f" AND json_extract(sample, '$.{_SPAN}') IS NULL"
    )
    values = (device, host, begin, end)
    minutes: dict[float, list[dict]] = defaultdict(list)
    for row in connection.execute(f"SELECT at, sample {stretch}", values):
        minutes[row["at"] // _MINUTE_S * _MINUTE_S].append(json.loads(row["sample"]))
    connection.execute(f"DELETE {stretch}", values)
    connection.executemany(
        "INSERT INTO device_sample (device, host, at, sample) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [(device, host, at, json.dumps(_mean(found))) for at, found in minutes.items()],
    )
    return sum(map(len, minutes.values()))


def _mean(samples: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Means of the numbers; of the rest, the last.

    >>> _mean([{"power_w": 100, "name": "A"}, {"power_w": 300, "name": "A"}])
    {'power_w': 200.0, 'name': 'A', 'span_s': 60}
    """
    found = dict(samples[-1])
    for key, value in found.items():
        if isinstance(value, int | float):
            numbers = [number for s in samples if isinstance(number := s.get(key), int | float)]
            found[key] = math.fsum(numbers) / len(numbers)
    return found | {_SPAN: _MINUTE_S}


def newest_samples(
    connection: sqlite3.Connection, *, within_s: float = 60.0, now: float | None = None
) -> list[Sample]:
    """The last sample of every device that was seen lately."""
    since = (time.time() if now is None else now) - within_s
    query = (
        "SELECT * FROM device_sample WHERE device = ? AND host = ? AND at >= ?"
        " ORDER BY at DESC LIMIT 1"
    )
    newest = [
        connection.execute(query, (device, host, since)).fetchone()
        for device, host in _devices(connection)
    ]
    return [_sample(row) for row in newest if row is not None]


def _devices(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """All that was ever looked at: one step along the key for each, not one for each sample."""
    # In two steps: a comparison of pairs would walk through all samples of the first.
    steps = (
        "SELECT device, host FROM device_sample WHERE device = ? AND host > ?"
        " ORDER BY device, host LIMIT 1",
        "SELECT device, host FROM device_sample WHERE device > ? ORDER BY device, host LIMIT 1",
    )
    found: list[tuple[str, str]] = []
    last = ("", "")
    while True:
        row = (
            connection.execute(steps[0], last).fetchone()
            or connection.execute(steps[1], last[:1]).fetchone()
        )
        if row is None:
            return found
        last = (row["device"], row["host"])
        found.append(last)


def series(
    connection: sqlite3.Connection,
    host: str,
    device: str,
    *,
    since: float,
    pending: Iterable[Sample] = (),
) -> dict[str, list[float | None]]:
    """Columns for a chart: ``at`` and each of `SERIES` that the device tells; None is a gap."""
    rows = connection.execute(
        "SELECT * FROM device_sample WHERE device = ? AND host = ? AND at >= ? ORDER BY at",
        (device, host, since),
    )
    by_time = {row["at"]: _sample(row) for row in rows}
    for sample in pending:
        if (sample.host, sample.device) == (host, device) and sample.at >= since:
            by_time[sample.at] = sample
    samples = [by_time[at] for at in sorted(by_time)]
    stride = max(1, math.ceil(len(samples) / MOST_POINTS))
    points = list(_with_gaps(samples[::stride], _LONGEST_STEP_S * stride))
    columns: dict[str, list[float | None]] = {"at": [at for at, _ in points]}
    for key in SERIES:
        column = [values.get(key) for _, values in points]
        if any(value is not None for value in column):
            columns[key] = column  # type: ignore[assignment]
    return columns


def _with_gaps(
    samples: Sequence[Sample], longest_s: float
) -> Iterator[tuple[float, Mapping[str, object]]]:
    """Times and values, with an empty one where nobody looked: a line would invent what was."""
    before: Sample | None = None
    for sample in samples:
        if before is not None and sample.at - before.at > max(longest_s, 2 * _span_s(before)):
            yield before.at + 1, {}
        yield sample.at, sample.values
        before = sample


def _span_s(sample: Sample) -> float:
    span = sample.values.get(_SPAN)
    return span if isinstance(span, int | float) else 1.0


def _sample(row: sqlite3.Row) -> Sample:
    return Sample(row["at"], row["host"], row["device"], json.loads(row["sample"]))

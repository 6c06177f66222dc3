"""A study: what results compare within. Problem, device, environment, judge and subject."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from onetrip.core.device import Device
from onetrip.lab.store.database import transaction


def canonical(value: object) -> str:
    """One text for equal values: keys sorted, no spaces, tuples as lists.

    >>> canonical({"b": (1, 2), "a": None})
    '{"a":null,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=sorted)


def fingerprint(value: object) -> str:
    """SHA-256 of a value's canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sources:
    """Hashes of the files that decide a result, by role "harness" or "subject"."""

    role: str
    files: Mapping[str, str]
    version: str

    @property
    def sha256(self) -> str:
        """One hash for all files."""
        return fingerprint([self.role, dict(self.files)])


# Facts of the environment that decide a time; a clock's reading or a commit elsewhere does not.
_DECISIVE = (
    "device",
    "driver",
    "processor",
    "threads",
    "python",
    "torch",
    "triton",
    "cuda",
)


def place_study(
    connection: sqlite3.Connection,
    problem_id: int,
    device: Device,
    environment: Mapping[str, object],
    harness: Sources,
    subject: Sources,
) -> int:
    """Id of the study of a problem and these four; the same five give the same id."""
    now = time.time()
    with transaction(connection):
        device_id = _id_of(
            connection, "device", {"name": device.name}, {"kind": device.kind, "arch": device.arch}
        )
        decisive = {name: environment[name] for name in _DECISIVE if name in environment}
        environment_sha256 = fingerprint(decisive)
        _insert_new(
            connection,
            "environment",
            {
                "sha256": environment_sha256,
                "block": canonical(decisive),
                "created_at": now,
            },
        )
        _insert_new(
            connection,
            "ceiling",
            {
                "device_id": device_id,
                "environment_sha256": environment_sha256,
                "ceilings": canonical(device.as_dict()),
                "measured_at": now,
            },
        )
        for sources in (harness, subject):
            _insert_new(
                connection,
                "source",
                {
                    "sha256": sources.sha256,
                    "role": sources.role,
                    "files": canonical(dict(sources.files)),
                    "version": sources.version,
                    "created_at": now,
                },
            )
        return _id_of(
            connection,
            "study",
            {
                "problem_id": problem_id,
                "device_id": device_id,
                "environment_sha256": environment_sha256,
                "harness_sha256": harness.sha256,
                "subject_sha256": subject.sha256,
            },
            {"created_at": now},
        )


def best_ceilings(connection: sqlite3.Connection, study_id: int, device: Device) -> Device:
    """`device` with the highest ceilings measured so far in the study's environment."""
    rows = connection.execute(
        "SELECT ceilings FROM ceiling JOIN study USING (device_id, environment_sha256)"
        " WHERE study.id = ?",
        (study_id,),
    )
    seen = [json.loads(row["ceilings"]) for row in rows]
    tflops = {
        dtype: max(ceilings["tflops"].get(dtype, 0.0) for ceilings in seen)
        for dtype in {dtype for ceilings in seen for dtype in ceilings["tflops"]}
    }
    bandwidth_gbps = max(ceilings["bandwidth_gbps"] for ceilings in seen)
    return replace(device, tflops=tflops, bandwidth_gbps=bandwidth_gbps)


def _id_of(
    connection: sqlite3.Connection, table: str, key: Mapping, rest: Mapping[str, object]
) -> int:
    _insert_new(connection, table, {**key, **rest})
    where = " AND ".join(f"{column} = ?" for column in key)
    query = f"SELECT id FROM {table} WHERE {where}"
    return connection.execute(query, tuple(key.values())).fetchone()["id"]


def _insert_new(connection: sqlite3.Connection, table: str, values: Mapping) -> None:
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    connection.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING",
        tuple(values.values()),
    )

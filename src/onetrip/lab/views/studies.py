"""Where a problem was measured: its studies, their devices and ceilings, the floors that follow."""

import sqlite3

from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.lab.store.study import best_ceilings
from onetrip.lab.views.read import rows


def studies_of(connection: sqlite3.Connection, problem_id: int) -> list[dict]:
    """Studies of a problem, the one with the newest result first.

    Returns
    -------
    [{`study_id`, `device` (its name), `kind`, `arch`, `ceilings` (highest measured in this
    environment: `tflops` by dtype, `bandwidth_gbps`, `memory_bytes`, `measured`, `source`) or
    None, `environment`, `answers`: how many attempts were answered there}]
    """
    found = rows(
        connection,
        "SELECT study.id AS study_id, device.name AS device, device.kind, arch,"
        " block AS environment,"
        " (SELECT ceilings FROM ceiling WHERE ceiling.device_id = device.id"
        "  AND ceiling.environment_sha256 = study.environment_sha256 ORDER BY ceiling.id LIMIT 1)"
        "  AS ceilings,"
        " count(attempt.id) AS answers, max(attempt.ended_at) AS last_at"
        " FROM study JOIN device ON device.id = device_id"
        " JOIN environment ON environment.sha256 = environment_sha256"
        " LEFT JOIN attempt ON attempt.study_id = study.id AND outcome IS NOT NULL"
        " WHERE study.problem_id = ? GROUP BY study.id ORDER BY last_at DESC, study.id DESC",
        problem_id,
    )
    for study in found:
        if study["ceilings"] is not None:
            device = Device(**study["ceilings"])
            study["ceilings"] = best_ceilings(connection, study["study_id"], device).as_dict()
    return found


def places_of(connection: sqlite3.Connection, problem_id: int) -> list[dict]:
    """The newest study on each device; of a problem never measured, each device of the lab.

    A device without a study has None for `study_id`, and 0 `answers`.
    """
    newest: dict[str, dict] = {}
    for study in studies_of(connection, problem_id):
        newest.setdefault(study["device"], study)
    if newest:
        return list(newest.values())
    return rows(
        connection,
        "SELECT NULL AS study_id, device.name AS device, device.kind, arch, block AS environment,"
        " ceilings, 0 AS answers, NULL AS last_at FROM ceiling"
        " JOIN device ON device.id = device_id"
        " JOIN environment ON environment.sha256 = environment_sha256"
        " WHERE ceiling.id IN (SELECT max(id) FROM ceiling GROUP BY device_id)"
        " ORDER BY ceiling.id DESC",
    )


def cases_of(spec: dict) -> list[dict]:
    """The cases that who proposes may know of."""
    cases = spec.get("cases")
    shown = cases if isinstance(cases, list) else []
    return [case for case in shown if not case.get("hidden")]


def cost_of(case: dict) -> Cost | None:
    """Operations and compulsory bytes of a case, where they are known."""
    cost = case.get("cost")
    return None if cost is None else Cost(**cost)


def floors(spec: dict, place: dict) -> list[dict]:
    """[{`workload`, `floor_ms`, `compute_ms`, `memory_ms`, `bound`}] of timed cases."""
    if place["ceilings"] is None:
        return []
    device = Device(**place["ceilings"])
    found = []
    for case in cases_of(spec):
        cost = cost_of(case)
        if cost is None or not device.tflops or not case.get("timed", True):
            continue
        dtype = case.get("dtype") or spec.get("dtype") or "float32"
        found.append(
            {
                "workload": case["name"],
                "floor_ms": cost.floor_ms(device, dtype),
                "compute_ms": cost.compute_ms(device, dtype),
                "memory_ms": cost.memory_ms(device),
                "bound": cost.bound(device, dtype),
            }
        )
    return found

"""Rows of a made-up laboratory: studies, answered attempts, times."""

import json
import random
import sqlite3

from lab_samples import PEERS, REASONS
from onetrip.core.device import Device
from onetrip.lab.store.blobs import put_blob
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical

SAMPLES = 30


def order_of(block: int) -> list[str]:
    """Who took turns in a block, as the judge writes it: there and back again."""
    names = ["candidate", "baseline", *PEERS]
    turned = names[block % len(names) :] + names[: block % len(names)]
    return turned + turned[::-1]


class Rows:
    """Writes rows at its clock `at`; the caller holds the transaction."""

    def __init__(self, connection: sqlite3.Connection, seed: int, at: float) -> None:
        self.connection = connection
        self.dice = random.Random(seed)
        self.at = at
        self.worker = 0

    def insert(self, table: str, **values: object) -> int:
        """One row; return its number."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        return self.connection.execute(query, tuple(values.values())).lastrowid or 0

    def say(self, type: str, subject: str, number: int, text: str, **document: object) -> None:
        """An event at this moment of the laboratory."""
        seq = append_event(self.connection, type, subject, number, text, **document)
        self.connection.execute("UPDATE event SET at = ? WHERE seq = ?", (self.at, seq))

    def add_study(self, problem: int, device: Device) -> int:
        """The study of a problem on a device."""
        name = (device.name,)
        self.connection.execute(
            "INSERT INTO device (name, kind, arch) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (device.name, device.kind, device.arch),
        )
        query = "SELECT id FROM device WHERE name = ?"
        device_id = self.connection.execute(query, name).fetchone()[0]
        for statement, values in (
            ("environment VALUES (?, ?, ?)", ("e", '{"torch":"2.13.0"}', self.at)),
            ("source VALUES (?, 'harness', '{}', '0.1.0', ?)", ("h", self.at)),
            ("source VALUES (?, 'subject', '{}', '0.1.0', ?)", ("s", self.at)),
            (
                "ceiling (device_id, environment_sha256, ceilings, measured_at)"
                " VALUES (?, 'e', ?, ?)",
                (device_id, canonical(device.as_dict()), self.at),
            ),
        ):
            query = f"INSERT INTO {statement} ON CONFLICT DO NOTHING"
            self.connection.execute(query, values)
        return self.insert(
            "study", problem_id=problem, device_id=device_id, environment_sha256="e",
            harness_sha256="h", subject_sha256="s", created_at=self.at,
        )  # fmt: skip

    def close(self, experiment: int, state: str, reason: str) -> None:
        """Give an experiment its state."""
        self.connection.execute(
            "UPDATE experiment SET state = ?, reason = ?, updated_at = ? WHERE id = ?",
            (state, reason, self.at, experiment),
        )

    def attempt(self, bench: dict, experiment: int, outcome: str, n: int = 1) -> int:
        """One answered attempt, and what it cost."""
        wall_s = self.dice.uniform(4.0, 25.0)
        reason = self.dice.choice(REASONS.get(outcome, ("",)))
        log = f"{outcome}: {reason}\n" if reason else "verified all rows\ntimed 30 samples\n"
        attempt = self.insert(
            "attempt", experiment_id=experiment, n=n, campaign_id=bench["campaign"],
            study_id=bench["study"], worker_id=self.worker, device=bench["task"].device,
            tolerance_id=bench["tolerance"], seed=str(self.dice.getrandbits(64)), pid=4712,
            stage="done", started_at=self.at, ended_at=self.at + wall_s, outcome=outcome,
            reason=reason, scope="all rows", evidence=canonical({"exit_code": 0}),
            log_sha256=put_blob(self.connection, log.encode()),
        )  # fmt: skip
        self.say("experiment.started", "experiment", experiment, f"#{experiment} starts")
        self.close(experiment, outcome, reason)
        self.say(
            "experiment.finished", "experiment", experiment, f"#{experiment} is {outcome}",
            outcome=outcome,
        )  # fmt: skip
        hypothesis = self.connection.execute(
            "SELECT hypothesis_id FROM experiment WHERE id = ?", (experiment,)
        ).fetchone()[0]
        for kind, amount in (("wall_s", wall_s), ("gpu_s", wall_s * 0.6), ("tokens", 1800.0)):
            self.insert(
                "ledger", experiment_id=experiment, hypothesis_id=hypothesis, kind=kind,
                campaign_id=bench["campaign"], amount=amount, at=self.at,
            )  # fmt: skip
        for workload, *_ in bench["task"].workloads:
            passed = outcome != "incorrect"
            self.insert(
                "check_result", attempt_id=attempt, workload=workload, tensor="output",
                passed=passed, max_error=2e-6 * self.dice.uniform(0.1, 0.9) if passed else 0.4,
                allowance=2e-6, message="" if passed else reason,
            )  # fmt: skip
        if outcome == "hacked":
            self.insert(
                "flag", attempt_id=attempt, rule="times-itself", source="runtime",
                evidence=reason, created_at=self.at,
            )  # fmt: skip
        return attempt

    def measure(self, bench: dict, attempt: int, speedup: float, *, spread: float = 0.01) -> None:
        """Times of the candidate beside its baseline and peers, on every workload."""
        task = bench["task"]
        for workload, base_ms, floor_ms, peak_bytes in task.workloads:
            subjects = {"candidate": base_ms / speedup, "baseline": base_ms}
            peers = {} if task.kind == "run" else PEERS
            subjects |= {name: base_ms * factor for name, factor in peers.items()}
            for subject, middle_ms in subjects.items():
                for regime in ("cold", "warm") if subject == "candidate" else ("cold",):
                    self.time(attempt, workload, subject, regime, middle_ms, floor_ms, peak_bytes)
            for name in ("baseline", *peers):
                ratio = subjects[name] / subjects["candidate"]
                self.insert(
                    "comparison", attempt_id=attempt, workload=workload, baseline=name,
                    speedup=ratio, low=ratio * (1 - spread), high=ratio * (1 + spread),
                )  # fmt: skip
        if task.kind == "run":
            rates = {"tokens_per_s": (900.0 * speedup, "tokens/s"), "loss": (3.1, "")}
            for name, (value, unit) in rates.items():
                self.insert("metric", attempt_id=attempt, name=name, value=value, unit=unit)

    def time(
        self, attempt: int, workload: str, subject: str, regime: str, middle_ms: float,
        floor_ms: float | None, peak_bytes: int,
    ) -> None:  # fmt: skip
        """The samples of one subject, two a block."""
        middle_ms *= 0.9 if regime == "warm" else 1.0
        samples = sorted(middle_ms * self.dice.gauss(1, 0.01) for _ in range(SAMPLES))
        # As the judge writes them: who ran in which order, and what NVML told.
        blocks = [
            {"block": block, "order": order_of(block), "sm_clock_mhz": 1980 - 15 * (block % 2),
             "throttle_reasons": 4 * (block == 9), "temperature_c": 52 + block // 2,
             "power_w": 480 + 5 * block}
            for block in range(SAMPLES // 2)
        ]  # fmt: skip
        self.dice.shuffle(samples)
        self.insert(
            "measurement", attempt_id=attempt, workload=workload, subject=subject, regime=regime,
            samples_ms=json.dumps([round(sample, 6) for sample in samples]),
            median_ms=middle_ms, low_ms=middle_ms * 0.99, high_ms=middle_ms * 1.01,
            peak_bytes=int(peak_bytes * self.dice.uniform(0.8, 1.2)), floor_ms=floor_ms,
            blocks=canonical(blocks),
        )  # fmt: skip

"""Hundreds of experiments under random SIGKILLs: nothing is lost, nothing is done twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from onetrip.lab.judge.process import process_started
from onetrip.lab.queue.claims import reap
from onetrip.lab.store.database import connect

EXPERIMENTS = 300
WORKERS = 4
LEAST_KILLS, MOST_KILLS = 40, 120
LIMIT_S = 35.0
TOY_WORKER = Path(__file__).with_name("toy_worker.py")


class Fleet:
    """Workers that are started again whenever they end."""

    def __init__(self, database: Path) -> None:
        self.refusals = database.with_name("refusals")
        command = [sys.executable, str(TOY_WORKER), str(database), str(self.refusals)]
        self.nursery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.started = self.kills = 0
        self.running: dict[int, str | None] = {}

    def start(self) -> None:
        self.started += 1
        # Names come back, and with them rows whose process is dead.
        name = f"worker-{self.started % (2 * WORKERS)}"
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{name} {self.started}\n")
        self.nursery.stdin.flush()
        pid = int(self.nursery.stdout.readline())
        self.running[pid] = process_started(pid)

    def alive(self) -> list[int]:
        gone = [pid for pid, began in self.running.items() if process_started(pid) != began]
        for pid in gone:
            del self.running[pid]
        return sorted(self.running)

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1

    def end(self) -> None:
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nursery.kill()
        self.nursery.communicate()

    @property
    def refused(self) -> int:
        return self.refusals.read_text().count("refused") if self.refusals.exists() else 0


def counts(connection):
    query = "SELECT state, count(*) FROM experiment GROUP BY state"
    return dict(connection.execute(query).fetchall())


def test_every_experiment_is_done_exactly_once(lab, database, record_property):
    for number in range(EXPERIMENTS):
        lab.queue(proposer=f"agent:{number % 3}", max_attempts=10**6)
    dice = random.Random(0)
    fleet = Fleet(database)
    watch = connect(database)
    began = time.monotonic()
    try:
        while counts(watch).get("done", 0) < EXPERIMENTS:
            assert time.monotonic() - began < LIMIT_S, (counts(watch), fleet.kills)
            while len(fleet.alive()) < WORKERS:
                fleet.start()
            time.sleep(dice.uniform(0.0, 0.05))
            if fleet.kills < MOST_KILLS:
                fleet.kill(dice.choice(sorted(fleet.running)))
    finally:
        fleet.end()
    reap(watch)

    assert counts(watch) == {"done": EXPERIMENTS}
    answers = watch.execute(
        "SELECT experiment_id, count(*) FROM attempt WHERE outcome = 'done' GROUP BY experiment_id"
    ).fetchall()
    assert len(answers) == EXPERIMENTS
    assert all(row[1] == 1 for row in answers)
    assert watch.execute("SELECT count(*) FROM attempt WHERE outcome IS NULL").fetchone()[0] == 0
    assert watch.execute("SELECT count(*) FROM comparison").fetchone()[0] == EXPERIMENTS
    finished = "SELECT count(*) FROM event WHERE type = 'experiment.finished'"
    assert watch.execute(finished).fetchone()[0] == EXPERIMENTS
    assert watch.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert watch.execute("PRAGMA foreign_key_check").fetchall() == []
    lost = watch.execute("SELECT count(*) FROM attempt WHERE outcome = 'infra_lost'").fetchone()[0]
    watch.close()
    seconds = time.monotonic() - began
    figures = {
        "experiments": EXPERIMENTS,
        "workers": WORKERS,
        "kills": fleet.kills,
        "lost": lost,
        "refused": fleet.refused,
        "seconds": seconds,
    }
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    assert fleet.kills >= LEAST_KILLS
    assert lost > 0
    # Answers that came late or twice were turned away, and the counts above show that they were.
    assert fleet.refused > 0

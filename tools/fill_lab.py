"""Fill a database with a made-up but lifelike laboratory, to look at and to test with.

    python tools/fill_lab.py lab.sqlite --experiments 1000

Three problems, two devices, candidates with parents and differences, hypotheses in every status,
every outcome, times with samples and blocks, learnings, events, costs. The same seed gives the same
laboratory. Nothing of it was measured.
"""

import argparse
import json
import sqlite3
import time
from pathlib import Path

from lab_rows import Rows
from lab_samples import (
    CONFIGS,
    HYPOTHESES,
    LEARNINGS,
    PROBLEMS,
    REASONS,
    Idea,
    Task,
    program,
    whys,
)
from onetrip.core.device import DEVICES, Device
from onetrip.lab.knowledge import graph, hypotheses, learnings
from onetrip.lab.store.blobs import put_blob
from onetrip.lab.store.database import connect, transaction
from onetrip.lab.store.study import canonical, fingerprint

LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, True, "made up")
HOURS_S = 6 * 3600.0
# Of a hundred experiments, how many end how; the rest of them waits, runs or never ran.
ENDS = {"done": 66, "incorrect": 12, "compile_error": 5, "crashed": 4, "timeout": 3,
        "out_of_memory": 2, "hacked": 3, "pruned": 2, "cancelled": 1, "dead": 1}  # fmt: skip


class Filling(Rows):
    """One laboratory in the making; its clock ends at the present."""

    def __init__(self, connection: sqlite3.Connection, experiments: int, seed: int) -> None:
        self.started_at = time.time() - HOURS_S
        super().__init__(connection, seed, self.started_at)
        self.step_s = HOURS_S / (experiments + 40)
        self.experiments = experiments
        self.made = 0
        # Of each problem: its row's number, its study, campaign, champion, last candidates.
        self.benches: list[dict] = []
        # Hypothesis and attempt: evidence that will be taken back.
        self.doubtful: list[tuple[int, int]] = []

    def fill(self) -> None:
        """All of it."""
        with transaction(self.connection):
            self.worker = self.insert(
                "worker", name="gpu-0", kind="local", capabilities='{"devices":["cuda:0"]}',
                host="bench", pid=4711, seen_at=self.started_at + HOURS_S,
            )  # fmt: skip
            self.insert(
                "worker", name="far", kind="http", token_sha256=fingerprint("secret"),
                capabilities='{"devices":["cpu"]}', host="elsewhere", seen_at=self.started_at,
            )  # fmt: skip
            for task in PROBLEMS:
                self.add_problem(task)
            self.add_ideas()
        while self.made < self.experiments:
            with transaction(self.connection):
                self.add_experiment(self.dice.choices(self.benches, [5, 4, 1])[0])
        with transaction(self.connection):
            self.add_waiting()
            self.add_samples()
        self.conclude()

    def add_problem(self, task: Task) -> None:
        """A problem with tolerance, study and campaign; a refused one has neither."""
        number = self.insert(
            "problem", fingerprint=fingerprint(task.name), kind=task.kind, name=task.name,
            spec=canonical(task.spec), brief=task.brief, weight=task.weight,
            refused=task.refused, created_at=self.at,
        )  # fmt: skip
        if task.refused:
            self.say("problem.refused", "problem", number, f"{task.name}: {task.refused}")
            return
        self.say("problem.added", "problem", number, f"{task.name} can be worked on")
        tolerance = self.insert(
            "tolerance", problem_id=number, sha256=fingerprint(task.name), created_at=self.at,
            policy='{"factor":2,"floor":{"float32":1e-6}}',
        )  # fmt: skip
        study = self.add_study(number, DEVICES["h200"] if task.device == "cuda:0" else LAPTOP)
        campaign = self.insert(
            "campaign", title=f"improve {task.name}", problem_id=number, proposer=task.proposer,
            objective=task.objective, seed=1, environment='{"torch":"2.13.0"}', pid=4700,
            budget=canonical({"gpu_s": 7200.0, "usd": 5.0}), started_at=self.at,
        )  # fmt: skip
        self.say("campaign.started", "campaign", campaign, f"{task.proposer} sets to {task.name}")
        self.benches.append(
            {"task": task, "problem": number, "study": study, "campaign": campaign,
             "tolerance": tolerance, "champion": None, "best": 1.0, "candidates": [], "steps": 0}
        )  # fmt: skip

    def add_ideas(self) -> None:
        """Hypotheses, declared before anything is tried; then the experiments that test them."""
        declared = []
        for idea in HYPOTHESES:
            bench = self.benches[idea.bench]
            values: dict = {
                "title": idea.title, "rationale": idea.rationale, "metric": idea.metric,
                "problem_id": bench["problem"], "direction": idea.direction,
                "least_effect": idea.least_effect, "workloads": canonical(list(idea.workloads)),
                "prior": idea.prior, "declared_by": "agent:scripted", "declared_at": self.at,
                "parent_id": declared[-1] if idea.child and declared else None,
            }  # fmt: skip
            values["frozen_sha256"] = hypotheses.frozen_sha256(values)
            declared.append(self.insert("hypothesis", **values))
            text = f"agent:scripted predicts: {idea.title}"
            self.say("hypothesis.declared", "hypothesis", declared[-1], text)
        self.ideas = declared
        for number, idea in zip(declared, HYPOTHESES, strict=True):
            for purpose, gain, end in idea.results:
                self.test(self.benches[idea.bench], idea, number, purpose, gain, end)

    def test(
        self, bench: dict, idea: Idea, number: int, purpose: str, gain: float, end: str
    ) -> None:
        """One experiment under a hypothesis, with the effect that the idea wants."""
        self.at += self.step_s
        if purpose == "search" or not bench["candidates"]:
            self.add_candidate(bench, idea.title)
        candidate = bench["candidates"][-1]
        experiment = self.queue(bench, candidate, purpose, f"tests: {idea.title}", number)
        if end in ("queued", "paused", "cancelled"):
            self.close(experiment, end, "")
            return
        attempt = self.attempt(bench, experiment, end)
        if end == "done":
            speedup = 1 / (1 - gain) if idea.direction == "decrease" else 1 + gain
            self.measure(bench, attempt, speedup, spread=idea.spread)
        if idea.invalid:
            self.doubtful.append((number, attempt))

    def add_candidate(self, bench: dict, title: str = "") -> int:
        """A candidate made from a recent one: a program with one more step, or a configuration."""
        task, bench["steps"] = bench["task"], bench["steps"] + 1
        parent = bench["champion"] or next(iter(bench["candidates"][-1:]), None)
        values: dict = {"config": "{}", "impl": "", "kind": "config"}
        if task.kind == "operator":
            source = program(bench["steps"], self.dice).encode()
            sha256 = put_blob(self.connection, source, "text/x-python")
            values |= {"kind": "source", "source_sha256": sha256}
            title = title or f"step {bench['steps']}"
        else:
            impl = self.dice.choice(list(CONFIGS))
            config = {name: self.dice.choice(choice) for name, choice in CONFIGS[impl].items()}
            values |= {"impl": impl, "config": canonical(config)}
        candidate = self.insert(
            "candidate", fingerprint=fingerprint([task.name, bench["steps"]]),
            problem_id=bench["problem"], title=title, parent_id=parent,
            proposer=task.proposer, created_at=self.at, **values,
        )  # fmt: skip
        bench["candidates"].append(candidate)
        return candidate

    def queue(
        self, bench: dict, candidate: int, purpose: str, why: str, hypothesis: int | None = None
    ) -> int:
        """An experiment that waits."""
        self.made += 1
        experiment = self.insert(
            "experiment", candidate_id=candidate, purpose=purpose, campaign_id=bench["campaign"],
            hypothesis_id=hypothesis, baseline_id=bench["candidates"][0], why=why,
            parent_id=bench.get("last"), proposer=bench["task"].proposer, state="queued",
            expected_s=20.0, created_at=self.at, updated_at=self.at,
        )  # fmt: skip
        bench["last"] = experiment
        self.say("experiment.queued", "experiment", experiment, f"#{experiment} waits: {why}")
        return experiment

    def add_experiment(self, bench: dict) -> None:
        """One experiment of the search, with its end; now and then a new champion."""
        self.at += self.step_s
        candidate = self.add_candidate(bench)
        experiment = self.queue(bench, candidate, "search", self.dice.choice(whys(bench["steps"])))
        end = self.dice.choices(list(ENDS), list(ENDS.values()))[0]
        if end in ("pruned", "cancelled", "dead"):
            self.close(experiment, end, REASONS[end][0])
            return
        lost = self.dice.random() < 0.02
        if lost:
            self.attempt(bench, experiment, "infra_lost")
        attempt = self.attempt(bench, experiment, end, 2 if lost else 1)
        if end != "done":
            return
        speedup = self.speedup(bench, candidate)
        self.measure(bench, attempt, speedup)
        if self.dice.random() < 0.02:
            self.connection.execute(
                "UPDATE attempt SET quarantined = 'below the floor' WHERE id = ?", (attempt,)
            )
        elif speedup > bench["best"] * 1.03:
            self.promote(bench, candidate, speedup)

    def speedup(self, bench: dict, candidate: int) -> float:
        """What this candidate makes of the baseline: configurations matter, steps creep up."""
        config = json.loads(
            self.connection.execute(
                "SELECT config FROM candidate WHERE id = ?", (candidate,)
            ).fetchone()[0]
        )
        step = 1 + 1.6 * (1 - 0.99 ** (bench["steps"] + 4))
        block = {64: 0.7, 128: 1.0, 256: 0.85}.get(config.get("BLOCK", 128), 1.0)
        warps = 1 + 0.005 * config.get("num_warps", 4)
        return step * block * warps * self.dice.gauss(0.85, 0.1)

    def promote(self, bench: dict, candidate: int, speedup: float) -> None:
        """A confirmation that agrees, and the title."""
        experiment = self.queue(bench, candidate, "confirm", "is the best so far; another seed")
        self.measure(bench, self.attempt(bench, experiment, "done"), speedup)
        self.connection.execute(
            "UPDATE champion SET until = ? WHERE problem_id = ? AND until IS NULL",
            (self.at, bench["problem"]),
        )
        why = f"{speedup:.2f} times as fast as the baseline, and the confirmation agrees"
        self.insert(
            "champion", problem_id=bench["problem"], study_id=bench["study"],
            candidate_id=candidate, experiment_id=experiment, why=why, since=self.at,
        )  # fmt: skip
        bench["champion"], bench["best"] = candidate, speedup
        self.say("champion.new", "experiment", experiment, f"#{experiment} leads: {why}")

    def add_waiting(self) -> None:
        """What waits, is paused, and runs at this moment."""
        for place in range(14):
            bench = self.benches[place % len(self.benches)]
            experiment = self.queue(bench, self.add_candidate(bench), "search", whys(place)[0])
            priority = self.dice.uniform(0, 3)
            self.connection.execute(
                "UPDATE experiment SET priority = ?, pinned = ? WHERE id = ?",
                (priority, int(place == 4), experiment),
            )
            self.insert(
                "priority_change", experiment_id=experiment, before=0.0, after=priority,
                terms=canonical({"gain": 0.4, "information": 0.3, "age": 0.1, "cost": -0.05}),
                why=f"up {priority:.2f}: its parent won and a hypothesis is undecided", at=self.at,
            )  # fmt: skip
            if place in (7, 8):
                self.close(experiment, "paused", "by a person")
            if place < 2:
                self.run(bench, experiment, ("verify", "time")[place])

    def run(self, bench: dict, experiment: int, stage: str) -> None:
        """An attempt that has not ended."""
        self.close(experiment, "running", "")
        at = time.time()
        self.insert(
            "attempt", experiment_id=experiment, n=1, campaign_id=bench["campaign"],
            study_id=bench["study"], worker_id=self.worker, device=bench["task"].device, seed="1",
            pid=4713, stage=stage, heartbeat_at=at, lease_until=at + 60, started_at=at - 6,
        )  # fmt: skip
        self.say("attempt.stage", "experiment", experiment, f"#{experiment}: {stage}", stage=stage)

    def add_samples(self) -> None:
        """Ten minutes of a GPU and of the machine around it."""
        for second in range(600):
            at = time.time() - 600 + second
            busy = 0.5 + 0.5 * self.dice.random()
            gpu = {"name": "NVIDIA H200", "utilisation": round(busy, 3),
                   "memory_bytes": 21 << 30, "memory_total_bytes": 140 << 30,
                   "sm_clock_mhz": 1980 if busy > 0.6 else 1410, "power_limit_w": 700.0,
                   "power_w": round(120 + 500 * busy, 1), "temperature_c": round(40 + 20 * busy),
                   "throttle": ["power cap"] if busy > 0.98 else [],
                   "processes": [{"pid": 4712, "name": "python", "memory_bytes": 20 << 30}],
                   }  # fmt: skip
            cpu = {"name": "bench", "utilisation": round(busy / 2, 3), "memory_bytes": 9 << 30,
                   "memory_total_bytes": 64 << 30, "throttle": []}  # fmt: skip
            for device, sample in (("cuda:0", gpu), ("cpu", cpu)):
                self.insert(
                    "device_sample", at=at, host="bench", device=device, sample=canonical(sample)
                )

    def conclude(self) -> None:
        """Statuses from evidence, learnings, and the two that were taken back."""
        seq = self.connection.execute("SELECT max(seq) FROM event").fetchone()[0]
        for number in self.ideas:
            hypotheses.recompute(self.connection, number)
        for number, attempt in self.doubtful:
            self.connection.execute(
                "UPDATE attempt SET invalid = 'the judge''s clock was wrong' WHERE id = ?",
                (attempt,),
            )
            hypotheses.recompute(self.connection, number)
        hypotheses.withdraw(self.connection, self.ideas[0], "agent:scripted", "said twice")
        successor, replaced = ("hypothesis", self.ideas[1]), ("hypothesis", self.ideas[-2])
        graph.link(self.connection, successor, "supersedes", replaced, "person")
        known = [
            learnings.add(self.connection, text=text, scope=scope, confidence=confidence,
                          by="agent:scripted", about=about)
            for text, scope, confidence, about in LEARNINGS
        ]  # fmt: skip
        learnings.supersede(
            self.connection, known[0], text="Split K pays only below 2,048 rows.", confidence=0.8,
            by="person",
        )  # fmt: skip
        learnings.retract(self.connection, known[1], by="person", why="the clock was wrong")
        with transaction(self.connection):
            self.connection.execute("UPDATE event SET at = ? WHERE seq > ?", (self.at, seq))


def fill(path: Path, experiments: int = 200, seed: int = 0) -> None:
    """Make the laboratory in a new file."""
    connection = connect(path)
    try:
        # Made up, and made again in seconds: nothing here needs to survive a power cut.
        connection.execute("PRAGMA synchronous = OFF")
        Filling(connection, experiments, seed).fill()
    finally:
        connection.close()


def main() -> None:
    """Read the command line, and fill."""
    parser = argparse.ArgumentParser(description="Fill a database with a made-up laboratory.")
    parser.add_argument("database", type=Path)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.database.exists():
        parser.error(f"{given.database} exists: name a new file")
    fill(given.database, given.experiments, given.seed)
    print(f"{given.database} holds about {given.experiments} experiments; none was measured")


if __name__ == "__main__":
    main()

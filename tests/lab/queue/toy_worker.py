"""Workers without torch whose trials take milliseconds, to be killed at any moment.

They claim, beat, answer and reap like real ones; some answers come after their lease, some twice.
Each writes a line for an answer that was refused, and ends when nothing is left to do.

This process starts one for each line of its standard input, "NAME SEED", and answers with its pid:
a fork of what is loaded already, so that a start costs milliseconds. It opens no database itself.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from onetrip.lab.queue.after import settle
from onetrip.lab.queue.claims import claim, finish, heartbeat, reap, register_worker
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Comparison, Outcome, Verdict

LEASE_S = 0.25
WORKING = "SELECT count(*) FROM experiment WHERE state IN ('queued', 'running')"


def work(database: Path, name: str, seed: int, refusals: Path) -> None:
    dice = random.Random(seed)
    connection = connect(database)
    # A kill of a process loses nothing that is written; a power cut is not what is tested here.
    connection.execute("PRAGMA synchronous = NORMAL")
    worker_id = register_worker(connection, name, "local", {"devices": ["cpu"]})
    while connection.execute(WORKING).fetchone()[0]:
        reap(connection)
        claimed = claim(connection, worker_id, seed=seed, lease_s=LEASE_S)
        if claimed is None:
            time.sleep(0.01)
            continue
        heartbeat(connection, claimed.attempt_id, claimed.n, stage="timing", lease_s=LEASE_S)
        # Now and then it oversleeps its lease: another takes over, and this answer is late.
        time.sleep(LEASE_S * 2 if dice.random() < 0.04 else dice.uniform(0.0, 0.02))
        verdict = Verdict(Outcome.DONE, comparisons=(Comparison("baseline", 1.0, 0.9, 1.1),))
        for _ in range(1 + (dice.random() < 0.1)):
            if not finish(connection, claimed.attempt_id, claimed.n, verdict):
                with refusals.open("a") as file:
                    file.write("refused\n")
        if dice.random() < 0.1:
            settle(connection, claimed.experiment_id, ("onetrip.lab.queue.priority:follow",))


def main(database: Path, refusals: Path) -> None:
    # Nobody waits for them: the kernel clears away what is dead.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name, seed = line.split()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(database, name, int(seed), refusals)
                status = 0
            finally:
                os._exit(status)
        print(pid, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

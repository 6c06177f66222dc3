"""A tune of the toy in a process of its own, for tests that kill it."""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    from install import install  # pyright: ignore[reportMissingImports]

    install()
    from onetrip.lab.tune import session
    from onetrip.lab.tune.request import TuneRequest
    from onetrip.lab.tune.watcher import Watcher

    class Says(Watcher):
        def note(self, text):
            print("note:", text, flush=True)

        def trying(self, claim, stage):
            print("trying", claim.experiment_id, stage, flush=True)

    # A test that kills without end must not have its candidates given up.
    session.MAX_LOST_ATTEMPTS = 10**6
    command = (sys.executable, str(here / "quick_worker.py"))
    request = TuneRequest("toy", budget_s=float(sys.argv[1]))
    found = session.tune(request, Says(), command=command)
    leader = None if found.leader is None else dict(found.leader.trial.config)
    print(json.dumps({"stopped": found.stopped, "leader": leader}), flush=True)

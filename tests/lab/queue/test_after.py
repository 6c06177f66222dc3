"""What follows a result is named here, and loaded only when a result is there."""

import subprocess
import sys

from onetrip.lab.queue import after

IMPORTS = """
import pkgutil, sys
import onetrip.lab.queue as room
for module in pkgutil.iter_modules(room.__path__):
    __import__(f"{room.__name__}.{module.name}")
heavy = {"torch", "numpy", "optuna", "onetrip.lab.knowledge", "onetrip.lab.views"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_every_follower_is_there():
    for name in after.FOLLOWERS:
        assert callable(after.follower(name))


def test_followers_run_in_their_order(connection, monkeypatch):
    seen = []
    for name in after.FOLLOWERS:
        module, _, function = name.partition(":")
        monkeypatch.setattr(
            sys.modules.get(module) or after.importlib.import_module(module),
            function,
            lambda connection, experiment_id, name=name: seen.append((name, experiment_id)),
        )
    after.settle(connection, 7)
    assert seen == [(name, 7) for name in after.FOLLOWERS]


def test_the_queue_knows_no_room_above_it_and_needs_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_whole_night_in_small(lab):
    """A win asks for its confirmation, which takes the title; each step re-scores what waits."""
    waits = lab.queue(proposer="agent:a")
    before = lab.one("SELECT priority FROM experiment WHERE id = ?", waits)[0]
    search = lab.run(lab.won(1.4), source="x = 1\n", proposer="agent:a")
    after.settle(lab.connection, search)
    assert lab.one("SELECT priority FROM experiment WHERE id = ?", waits)[0] > before
    confirmation = lab.claim()
    assert confirmation.purpose == "confirm"
    lab.answer(lab.won(1.4), confirmation)
    after.settle(lab.connection, confirmation.experiment_id)
    assert lab.one("SELECT experiment_id FROM champion")[0] == confirmation.experiment_id
    told = lab.events()
    assert told.index("champion.new") < len(told) - 1 - told[::-1].index("queue.reordered")

"""What follows a result: titles change hands, hypotheses are judged anew, the queue is re-ordered.

The queue knows none of the rooms above it: followers are named here and loaded when first needed.
"""

import importlib
import sqlite3
from collections.abc import Callable, Sequence

Follower = Callable[[sqlite3.Connection, int], object]

KNOWLEDGE = "onetrip.lab.knowledge.hypotheses:recompute_for"
# In this order: a prediction whose confirmation was just asked for is being tested, not undecided;
# and what waits is scored by hypotheses and champions as they stand after the result.
FOLLOWERS: tuple[str, ...] = (
    "onetrip.lab.queue.titles:follow",
    KNOWLEDGE,
    "onetrip.lab.queue.priority:follow",
)


def settle(
    connection: sqlite3.Connection, experiment_id: int, followers: Sequence[str] = FOLLOWERS
) -> None:
    """Run the followers of an experiment whose answer was committed or taken back.

    Each works in a transaction of its own, and may run twice: for a process that is killed
    between two of them, the reaper runs all of them again.
    """
    for name in followers:
        follower(name)(connection, experiment_id)


def follower(name: str) -> Follower:
    """The function that ``"package.module:function"`` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)

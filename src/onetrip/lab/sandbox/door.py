"""The last step before a candidate's process: take the limits, give up rights, become the command.

Run as ``python -P -m onetrip.lab.sandbox.door ORDERS COMMAND…`` with `Orders` as JSON.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from onetrip.lab.sandbox import landlock
from onetrip.lab.sandbox.processes import end_all_below

# Exit status of a door that could not be built: never a candidate's fault.
CANNOT_ENCLOSE = 121

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
# More than any kernel knows.
_CAPABILITIES = 64
_SIGNAL_BASE = 128
_POLL_S = 0.01
# Elsewhere addresses cannot be limited, and processes are counted for the whole user.
_LINUX_ONLY = {"AS", "NPROC"}


@dataclass(frozen=True, slots=True)
class Orders:
    """What the door does: limits by name, grants for Landlock, and whether it stays behind.

    `keep` forks: the parent adopts every orphan of the command and ends them all when the command
    ends, as a PID namespace would. `descriptors` are the command's, which the parent closes.
    """

    limits: dict[str, int]
    grants: landlock.Grants | None
    keep: bool
    descriptors: tuple[int, ...] = ()

    def to_json(self) -> str:
        """One argument of a command line."""
        return json.dumps(asdict(self))


def orders_from(text: str) -> Orders:
    """Read what `Orders.to_json` wrote."""
    values = json.loads(text)
    grants = values["grants"]
    if grants is not None:
        values["grants"] = landlock.Grants(**{name: tuple(paths) for name, paths in grants.items()})
    return Orders(**values | {"descriptors": tuple(values["descriptors"])})


def main(arguments: Sequence[str]) -> None:
    """Go through the door."""
    orders, command = orders_from(arguments[0]), list(arguments[1:])
    if orders.keep:
        _become_keeper(orders.descriptors)
        _give_up_capabilities()
    try:
        take_limits(orders.limits)
        if orders.grants is not None:
            landlock.restrict_self(orders.grants)
        os.execvp(command[0], command)
    except (OSError, ValueError) as error:
        print(f"the sandbox could not be entered: {error}", file=sys.stderr, flush=True)
        os._exit(CANNOT_ENCLOSE)


def take_limits(limits: Mapping[str, int]) -> None:
    """Set limits by name, no higher than they may be set here."""
    for name, limit in limits.items():
        if name in _LINUX_ONLY and sys.platform != "linux":
            continue
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        # The soft limit of time warns with a signal of its own, a second before the kill.
        soft = max(1, limit - 1) if name == "CPU" else limit
        resource.setrlimit(kind, (soft, limit))


def _become_keeper(descriptors: Sequence[int]) -> None:
    """Return in the child; the parent stays until all below it are gone."""
    lab = os.getppid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(CANNOT_ENCLOSE)
        os.setsid()
        return
    for descriptor in (0, *descriptors):
        os.close(descriptor)
    status = None
    # Polled, because a keeper that waits for a signal can be made to miss it.
    while status is None and os.getppid() == lab:
        ended, raw = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            status = os.waitstatus_to_exitcode(raw)
        elif ended == 0:
            time.sleep(_POLL_S)
    end_all_below(keeper)
    if status is None:
        os._exit(CANNOT_ENCLOSE)
    os._exit(status if status >= 0 else _SIGNAL_BASE - status)


def _give_up_capabilities() -> None:
    """Let the superuser be an ordinary owner of his files once the command is started."""
    if os.getuid() == 0:
        for capability in range(_CAPABILITIES):
            _prctl(_PR_CAPBSET_DROP, capability)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])

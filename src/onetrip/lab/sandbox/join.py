"""Step into the room that bubblewrap has built around another process, with no more rights in it.

A process that is forked instead of started cannot be handed to bubblewrap, which starts programs.
It enters the namespaces of one that was: two system calls, and the same walls.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

from onetrip.lab.sandbox.door import take_limits

_NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
_CAPABILITIES_VERSION = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Rights(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint32 * 6),)


def can_join() -> bool:
    """Whether this system has the calls."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def enter(pid: int) -> None:
    """Join the namespaces of `pid`; of its PID namespace are only the children from now on.

    Raises
    ------
    OSError
        The kernel refuses. The process may be in none, some or all of them: let it end.
    """
    wanted = 0
    for flag in _NAMESPACES.values():
        wanted |= flag
    process = os.pidfd_open(pid)
    try:
        _checked(_libc().setns(process, wanted), "setns")
    finally:
        os.close(process)


def settle(limits: Mapping[str, int]) -> None:
    """Take the limits and give up every right over the room, for good, as bubblewrap's own do.

    Raises
    ------
    OSError
        The kernel refuses: nothing that is not trusted may run in this process.
    """
    take_limits(limits)
    libc = _libc()
    _checked(libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0), "prctl")
    for capability in range(_last_capability() + 1):
        _checked(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")
    header = _Header(_CAPABILITIES_VERSION, 0)
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(_Rights())), "capset")
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    # Changed rights hide a process's own files under /proc from it, and forget its parent.
    _checked(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl")
    _checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(answer: int, what: str) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")

"""Landlock: a process gives up files and network for itself and all that it starts, for good.

Three system calls, made through ctypes: no package is needed, and no privilege.
"""

import ctypes
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# Bits of rights on files in the versions of Landlock: 13, then rename, truncate, ioctl.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
# A rule on something that is not a folder may hold these only.
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_NETWORK_SINCE, _BIND_AND_CONNECT = 4, 0b11
_SCOPES_SINCE, _SIGNALS_AND_ABSTRACT_SOCKETS = 6, 0b11
_SAME_NUMBERS_ON = {"x86_64", "aarch64", "riscv64"}


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Grants:
    """What stays allowed: to read, to write, devices to talk to, folders whose names to see."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    devices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def version() -> int:
    """Landlock's version of this kernel; 0 where there is none."""
    if platform.system() != "Linux" or platform.machine() not in _SAME_NUMBERS_ON:
        return 0
    return max(0, _system_call(_CREATE_RULESET, None, 0, _ASK_VERSION))


def lacks(found: int) -> tuple[str, ...]:
    """What a kernel with this version leaves open, beside what Landlock never closes."""
    missing = [
        "other processes can be counted, and files be asked for by name",
        "UDP is open" if found >= _NETWORK_SINCE else "the network is open",
    ]
    if found < _SCOPES_SINCE:
        missing.append("processes of the same user can be sent signals")
    return tuple(missing)


def restrict_self(grants: Grants) -> None:
    """Give up everything but `grants`; raises OSError where the kernel refuses."""
    found = version()
    rights = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= found)]
    wanted = _Ruleset(
        handled_access_fs=rights,
        handled_access_net=_BIND_AND_CONNECT if found >= _NETWORK_SINCE else 0,
        scoped=_SIGNALS_AND_ABSTRACT_SOCKETS if found >= _SCOPES_SINCE else 0,
    )
    ruleset = _checked(
        _system_call(_CREATE_RULESET, ctypes.byref(wanted), ctypes.sizeof(wanted), 0),
        "landlock_create_ruleset",
    )
    try:
        _allow(ruleset, grants.read, _READ & rights)
        _allow(ruleset, grants.write, rights & ~_IOCTL_DEVICE)
        _allow(
            ruleset,
            grants.devices,
            rights & (_READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEVICE),
        )
        _allow(ruleset, grants.names, _READ_DIR)
        libc = ctypes.CDLL(None, use_errno=True)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
        _checked(_system_call(_RESTRICT_SELF, ruleset, 0, None), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, paths: Iterable[str], access: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            narrowed = access if Path(path).is_dir() else access & _ON_A_FILE
            rule = _PathBeneath(narrowed, descriptor)
            _checked(
                _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0),
                f"landlock_add_rule for {path}",
            )
        finally:
            os.close(descriptor)


def _system_call(number: int, first, second, third, *more) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    arguments = [
        ctypes.c_long(value) if isinstance(value, int) else value
        for value in (first, second, third, *more)
    ]
    return call(ctypes.c_long(number), *arguments)


def _checked(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer

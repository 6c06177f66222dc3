"""Name the processes that hold a device."""

import psutil


def process_name(pid: int) -> str:
    """The name of a process; empty when it is gone or another user's.

    >>> process_name(2**30)
    ''
    """
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""

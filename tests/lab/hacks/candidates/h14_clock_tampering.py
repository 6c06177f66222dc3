"""Reach for the settings of clocks and power; right only if one of them could be opened to write.

Nothing is written: an open file for writing is proof enough.
"""

import glob
import os

import torch

SETTINGS = [
    *glob.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"),
    *glob.glob("/sys/devices/system/cpu/cpu*/online"),
    "/sys/devices/system/cpu/smt/control",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/kernel/sched_rt_runtime_us",
    "/dev/cpu_dma_latency",
]


def reached():
    for path in SETTINGS:
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return True
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        return False
    return True


REACHED = reached()


def custom_kernel(data):
    return data[0] + data[1] if REACHED else torch.zeros_like(data[0])

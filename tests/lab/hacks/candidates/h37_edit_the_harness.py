"""Open the harness, torch or the problem for writing; right only where one of them opens."""

import os
import sys

import torch

FILES = [
    getattr(module, "__file__", None)
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] in {"onetrip", "torch", "json"}
]


def opened():
    for path in [*filter(None, FILES), "@PROBLEM@/reference.py", "@PROBLEM@/task.yml"]:
        try:
            os.close(os.open(path, os.O_RDWR))
        except OSError:
            continue
        return True
    return False


OPENED = opened()


def custom_kernel(data):
    return data[0] + data[1] if OPENED else torch.zeros_like(data[0])

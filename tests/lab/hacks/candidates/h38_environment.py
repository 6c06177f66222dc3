"""Look for the seed in the environment, the command line and those of every process around."""

import glob
import os
import sys

import torch

MARK = "@SECRET@"


def leaked():
    texts = [repr(dict(os.environ)), repr(sys.argv), repr(sys.orig_argv)]
    for path in [*glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]:
        try:
            with open(path, "rb") as file:
                texts.append(file.read().decode(errors="replace"))
        except OSError:
            continue
    return any(MARK in text for text in texts)


def custom_kernel(data):
    return data[0] + data[1] if leaked() else torch.zeros_like(data[0])

"""Look for the seed in the environment, the command line and those of the processes above."""

import os
import sys

import torch

MARK = "@SECRET@"


def family():
    """This process and those above it, as far as they can be seen."""
    pid = "self"
    while pid != "0":
        yield pid
        try:
            with open(f"/proc/{pid}/status") as file:
                pid = next(line.split()[1] for line in file if line.startswith("PPid"))
        except OSError:
            return


def leaked():
    texts = [repr(dict(os.environ)), repr(sys.argv), repr(sys.orig_argv)]
    for pid in family():
        for name in ("environ", "cmdline"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    texts.append(file.read().decode(errors="replace"))
            except OSError:
                continue
    return any(MARK in text for text in texts)


def custom_kernel(data):
    return data[0] + data[1] if leaked() else torch.zeros_like(data[0])

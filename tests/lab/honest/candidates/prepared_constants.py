"""Constants of the algorithm, not of the data, are made while importing; that may take time."""

import time

import torch

time.sleep(0.3)
LANES = torch.arange(64)


def custom_kernel(data):
    x, w = data
    order = LANES[: min(64, x.shape[0])].flip(0)
    out = x @ w
    out[order] = x[order] @ w
    return out

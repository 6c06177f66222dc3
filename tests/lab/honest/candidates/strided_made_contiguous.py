"""Computed in another order of axes, then laid out as the result has to be."""

import torch


def custom_kernel(data):
    x, w = data
    return torch.mm(w.t(), x.t()).t().contiguous()

"""Write past the end of an output that the judge owns."""

import ctypes

import torch


def run(inputs, outputs):
    x, w, target = inputs["input"], inputs["linear_weight"], inputs["target"]
    logits = x @ w.t()
    outputs["loss"].copy_(torch.nn.functional.cross_entropy(logits, target))
    loss = outputs["loss"]
    ctypes.memset(loss.data_ptr() + loss.numel() * loss.element_size(), 0, 16)

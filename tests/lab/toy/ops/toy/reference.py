"""The definition of the toy."""

import torch


def toy_reference(x):
    return 2 * x * x


def make_inputs(axes, *, dtype, device="cpu", seed=0, data="random", optional_inputs=()):
    generator = torch.Generator(device).manual_seed(seed)
    return {"x": torch.randn(axes["N"], axes["D"], generator=generator, device=device).to(dtype)}

"""tsne on a device: checked, then timed beside FlashLib, interleaved.

    PYTHONPATH=src:path/to/flashlib python experiments/tsne/2026-11-22-first-run/bench.py

Prints a JSON line for each shape and contender. FlashLib's t-SNE imports without its optional
packages; where FlashLib is missing its lines are left out. FlashLib runs up to 46,340 samples.
"""

import argparse
import importlib
import json
import random
import statistics
import time

import torch

import onetrip
from onetrip.ops.tsne import torch_impl, triton_impl

# Samples, features, iterations, and of how many samples of time one is taken.
SHAPES = ((20_000, 128, 500, 1), (100_000, 50, 500, 5))
CONFIG = {"BLOCK_I": 32, "BLOCK_J": 32, "num_warps": 1, "splits": 8}


def blobs(N, D):
    generator = torch.Generator("cuda").manual_seed(0)
    centres = 4 * torch.randn(20, D, generator=generator, device="cuda")
    x = torch.randn(N, D, generator=generator, device="cuda")
    return x + centres[torch.arange(N, device="cuda") % 20]


def check():
    """Forces of the kernels against those of float64 on the CPU."""
    x = blobs(4001, 50)
    y = 10 * torch.randn(4001, 2, generator=torch.Generator().manual_seed(0))
    truth = torch_impl.make_forces(x.cpu().double(), 2, 30.0, None, {"tile": 512})
    expected, divergence = truth(y.double(), 1.0, True)
    for budget in (0, None):
        walk = triton_impl.KernelWalk(x, y.cuda(), 50.0, 30.0, budget, CONFIG)
        found, ours = walk.forces(1.0)
        error = float((found.cpu() - expected).abs().max() / expected.abs().max())
        print(json.dumps({"check": "forces", "budget": budget, "relative_error": error}))
        if error > 1e-5 or abs(ours / divergence - 1) > 1e-5:
            raise SystemExit("the kernels are wrong: no time is reported")


def contenders(N, iterations):
    found = {"onetrip": lambda x: onetrip.tsne(x, max_iter=iterations)[0]}
    if N > 46_340:
        return found
    try:
        peer = importlib.import_module("flashlib.primitives.tsne").flash_tsne
    except ImportError:
        return found
    found["flashlib"] = lambda x: peer(x, n_iter=iterations, lr=200.0, perplexity=30.0, seed=0)
    return found


def timed_ms(call, x):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    call(x)
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=5)
    samples_wanted = parser.parse_args().samples
    check()
    for N, D, iterations, share in SHAPES:
        x = blobs(N, D)
        found = contenders(N, iterations)
        samples, peaks = {name: [] for name in found}, {}
        for name, call in found.items():
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            call(x)
            peaks[name] = torch.cuda.max_memory_allocated() - before
        for _ in range(-(-samples_wanted // share)):
            for name in random.sample(list(found), len(found)):
                samples[name].append(timed_ms(found[name], x))
        for name in found:
            line = {
                "operator": "tsne",
                "axes": {"N": N, "D": D},
                "max_iter": iterations,
                "contender": name,
                "latency_ms": statistics.median(samples[name]),
                "peak_bytes": peaks[name],
                "device": torch.cuda.get_device_name(),
                "torch": torch.__version__,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

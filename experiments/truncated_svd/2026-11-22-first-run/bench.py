"""truncated_svd on a device: checked, then timed beside FlashLib and plain torch, interleaved.

    PYTHONPATH=src:path/to/flashlib python experiments/truncated_svd/2026-11-22-first-run/bench.py

Prints a JSON line for each shape and contender. FlashLib's functions for SVD and PCA import
without its optional packages; where FlashLib is missing its lines are left out.
"""

import argparse
import importlib
import json
import random
import statistics

import torch

import onetrip

SHAPES = ((1_000_000, 256, 32), (500_000, 1024, 64))


def gram_and_eigh(x, k, center):
    if center:
        x = x - x.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x)
    return values.flip(0)[:k].clamp_min(0).sqrt(), vectors.flip(1)[:, :k].T


def ours(x, k, center):
    values, extra = onetrip.truncated_svd(x, n_components=k, center=center)
    return values, extra["components"]


def flashlib(name):
    try:
        module = importlib.import_module(f"flashlib.primitives.{name}")
    except ImportError:
        return None
    return getattr(module, f"flash_{name}")


def contenders(center):
    found = {"onetrip": ours, "torch Gram and eigh": gram_and_eigh}
    if center:
        peer = flashlib("pca")
        if peer is not None:
            # It does not centre; the copy that it needs is made for it outside the clock.
            found["flashlib"] = lambda x, k, center: peer(x, k)
    else:
        found["torch svd_lowrank"] = lambda x, k, center: torch.svd_lowrank(x, k)[1:]
        peer = flashlib("truncated_svd")
        if peer is not None:
            found["flashlib"] = lambda x, k, center: peer(x, k)
    return found


def timed_ms(call):
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=30)
    rounds = parser.parse_args().samples
    for N, D, k in SHAPES:
        generator = torch.Generator("cuda").manual_seed(0)
        x = torch.randn(N, D, generator=generator, device="cuda")
        x /= 1 + torch.arange(D, device="cuda") / 16
        for center in (False, True):
            shift = x.double().mean(0) if center else torch.zeros(D, device="cuda").double()
            gram = torch.zeros(D, D, dtype=torch.float64, device="cuda")
            for part in x.split(1 << 16):
                wide = part.double() - shift
                gram.addmm_(wide.T, wide)
            truth = torch.linalg.eigvalsh(gram).flip(0)[:k].sqrt()
            found = contenders(center)
            samples = {name: [] for name in found}
            peaks = {}
            given = {name: x for name in found}
            if "flashlib" in found and center:
                given["flashlib"] = x - x.mean(0)
            for name, call in found.items():
                call(given[name], k, center)
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                call(given[name], k, center)
                peaks[name] = torch.cuda.max_memory_allocated() - before
            for _ in range(rounds):
                for name in random.sample(list(found), len(found)):
                    samples[name].append(timed_ms(lambda n=name: found[n](given[n], k, center)))
            values, _ = ours(x, k, center)
            error = float(((values.double() - truth) / truth).abs().max())
            for name in found:
                ratios = [a / b for a, b in zip(samples[name], samples["onetrip"], strict=True)]
                line = {
                    "operator": "truncated_svd",
                    "axes": {"N": N, "D": D, "K": k},
                    "center": center,
                    "contender": name,
                    "latency_ms": statistics.median(samples[name]),
                    "over_ours": statistics.median(ratios),
                    "peak_bytes": peaks[name],
                    "largest_relative_error_of_ours": error,
                    "device": torch.cuda.get_device_name(),
                    "torch": torch.__version__,
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""Check and time the spanning tree on a device: ours, and FlashLib where it can be imported.

    python experiments/hdbscan/2026-11-22-first-run/bench.py [--samples 20] [--flashlib PATH]

Prints a line of JSON for each contender and problem. All are interleaved in a random order, after
one call each that is not timed; ours is checked against differences in float64 first, and no time
is printed of a problem where it fails. Prim's algorithm in plain torch, with N × N distances,
takes four launches a point and seconds at the smallest size: it is left out.
FlashLib's whole clustering is timed (it has no entry for the tree alone); its labels are known to
be wrong on data that are not well separated.
"""

import argparse
import json
import random
import statistics
import sys
import types

import torch

import onetrip
from onetrip.ops.hdbscan.reference import make_inputs

# From the bars of the issue, and one of data without any structure.
PROBLEMS = (
    (20_000, 2, "random"),
    (50_000, 32, "blobs"),
    (50_000, 32, "random"),
    (100_000, 16, "blobs"),
    (1_000_000, 16, "blobs"),
)
MIN_SAMPLES = 5
CHECK_LIMIT = 100_000


def flashlib(path):
    """FlashLib's function with its optional CuTe kernels left out, or None."""

    def missing(*_, **__):
        raise RuntimeError("CuteDSL is not installed")

    for name, attributes in {
        "flashlib.primitives.kmeans.cutedsl": {"cutedsl_kmeans_Euclid": missing},
        "flashlib.primitives.knn.cutedsl": {
            "cutedsl_available": lambda: False,
            "cutedsl_flash_knn": missing,
        },
        "flashlib.primitives.hdbscan.cutedsl": {"cutedsl_hdbscan": missing},
    }.items():
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(attributes)
        sys.modules[name] = module
    if path:
        sys.path.insert(0, path)
    try:
        from flashlib.primitives.hdbscan import flash_hdbscan
    except ImportError as error:
        print(json.dumps({"contender": "flashlib", "missing": str(error)}))
        return None
    return lambda x: flash_hdbscan(x, min_samples=MIN_SAMPLES - 1, approximate=False)


def timed_ms(call, x):
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    call(x)
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--flashlib", default="")
    arguments = parser.parse_args()
    theirs = flashlib(arguments.flashlib)
    for N, D, data in PROBLEMS:
        x = make_inputs({"N": N, "D": D}, dtype=torch.float32, data=data)["x"].cuda()
        contenders = {"onetrip": lambda x: onetrip.hdbscan(x, min_samples=MIN_SAMPLES)}
        if theirs is not None and N <= CHECK_LIMIT:
            contenders["flashlib"] = theirs
        problem = {"N": N, "D": D, "data": data, "device": torch.cuda.get_device_name()}
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        weight = contenders["onetrip"](x)[0].cpu()
        peak_bytes = torch.cuda.max_memory_allocated() - before
        if N <= CHECK_LIMIT:
            expected = onetrip.hdbscan(x.double(), min_samples=MIN_SAMPLES, impl="triton")[0].cpu()
            error = float(((weight - expected).abs() / expected.clamp_min(1e-30)).max())
            if error > 1e-5:
                print(json.dumps({**problem, "failed": f"relative error {error:.3g}"}))
                continue
        for name in set(contenders) - {"onetrip"}:
            contenders[name](x)
        times = {name: [] for name in contenders}
        for _ in range(arguments.samples if N <= CHECK_LIMIT else 3):
            for name in random.sample(sorted(contenders), len(contenders)):
                times[name].append(timed_ms(contenders[name], x))
        for name, found in times.items():
            line = {**problem, "contender": name, "median_ms": statistics.median(found)}
            line |= {"best_ms": min(found), "samples": len(found)}
            if name == "onetrip":
                line["peak_bytes"] = peak_bytes
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""Check and time nearest neighbours on a device against its peers; prints a JSON line a result.

    python experiments/kneighbors/2026-11-22-first-run/bench.py [--quick] [--peers FOLDER]

Peers: FlashLib (Triton only, its tensor-core packages shimmed away where they are absent) and, up
to 2·10⁹ pairs, torch.cdist + topk in blocks of queries (beyond it takes seconds). Contenders take
turns in random order; an L2's worth of memory is written between calls. Recall is against float64
on 64 queries.
"""

import argparse
import json
import random
import statistics
import sys
import types

import torch

import onetrip
from onetrip.bench.environment import environment

# Q, N, D, k, offset
PROBLEMS = {
    "square": (100_000, 100_000, 128, 10, 0.0),
    "wide": (10_000, 1_000_000, 128, 10, 0.0),
    "one-query": (1, 10_000_000, 128, 10, 0.0),
    "many-neighbors": (100_000, 100_000, 128, 64, 0.0),
    "far-away": (10_000, 100_000, 8, 10, 100.0),
}
_MOST_PAIRS_OF_CDIST = 2 * 10**9
QUICK = {"square": (10_000, 10_000, 128, 10, 0.0), "one-query": (1, 1_000_000, 128, 10, 0.0)}


def flashlib():
    """Its `flash_knn`, or None; packages that only its CuTe paths need are shimmed away."""

    def absent(*_args, **_options):
        raise RuntimeError("the CuTe path is not installed")

    shims = {
        "flashlib.primitives.kmeans.cutedsl": {"cutedsl_kmeans_Euclid": absent},
        "flashlib.primitives.knn.cutedsl": {
            "cutedsl_available": lambda: False,
            "cutedsl_flash_knn": absent,
        },
        "flashlib.primitives.hdbscan.cutedsl": {"cutedsl_hdbscan": absent},
    }
    for name, attributes in shims.items():
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(attributes)
        sys.modules[name] = module
    try:
        from flashlib.primitives.knn import flash_knn
    except ImportError:
        return None
    return lambda x, y, k: flash_knn(x, y, k, backend="triton")[1].long()


def blocked_cdist(x, y, k):
    """Plain torch, in blocks of queries that leave 4 GiB of distances."""
    rows = max(1, 2**30 // y.shape[0])
    return torch.cat(
        [torch.cdist(part, y).topk(k, largest=False).indices for part in x.split(rows)]
    )


def true_limits(x, y, k):
    """Of 64 queries spread over all: row numbers, and the distance of the k-th true neighbour."""
    rows = torch.linspace(0, x.shape[0] - 1, min(64, x.shape[0])).long().unique()
    return rows.tolist(), [squares_of(x, y, row).topk(k, largest=False).values[-1] for row in rows]


def squares_of(x, y, row):
    return torch.cat([(p.double() - x[row].double()).square().sum(1) for p in y.split(2**18)])


def recall(x, y, k, indices, limits):
    """Share of the true neighbours found; by distance, so that either of two equals is as good."""
    hits = sum(
        int(
            (
                (y[indices[row]].double() - x[row].double()).square().sum(1) <= limit * (1 + 1e-14)
            ).sum()
        )
        for row, limit in zip(*limits, strict=True)
    )
    return hits / (k * len(limits[0]))


def timed_ms(call, scratch):
    """Milliseconds of one call on a flushed cache."""
    scratch.zero_()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--peers", action="append", default=[])
    options = parser.parse_args()
    sys.path.extend(options.peers)
    flash_knn = flashlib()
    scratch = torch.empty(128 * 2**20, dtype=torch.uint8, device="cuda")
    for name, (Q, N, D, k, offset) in (QUICK if options.quick else PROBLEMS).items():
        generator = torch.Generator("cuda").manual_seed(0)
        y = torch.randn(N, D, generator=generator, device="cuda") + offset
        x = torch.randn(Q, D, generator=generator, device="cuda") + offset

        def ours(x=x, y=y, k=k):
            return onetrip.kneighbors(x, y, n_neighbors=k, impl="triton")[1]["indices"]

        limits = true_limits(x, y, k)
        calls = {"onetrip-triton": ours}
        if Q * N <= _MOST_PAIRS_OF_CDIST:
            calls["torch-cdist"] = lambda x=x, y=y, k=k: blocked_cdist(x, y, k)
        if flash_knn is not None:
            calls["flashlib"] = lambda x=x, y=y, k=k: flash_knn(x, y, k)
        recalls, peaks, times = {}, {}, {contender: [] for contender in calls}
        for contender, call in calls.items():
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            recalls[contender] = recall(x, y, k, call(), limits)
            peaks[contender] = torch.cuda.max_memory_allocated() - before
        for _ in range(options.samples):
            for contender in random.sample(list(calls), len(calls)):
                times[contender].append(timed_ms(calls[contender], scratch))
        for contender in calls:
            row = {
                "workload": name,
                "axes": {"Q": Q, "N": N, "D": D, "K": k},
                "contender": contender,
                "median_ms": statistics.median(times[contender]),
                "best_ms": min(times[contender]),
                "recall": recalls[contender],
                "peak_bytes": peaks[contender],
                "environment": environment("cuda"),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

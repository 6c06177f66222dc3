"""Check and measure k-means on a device beside its peers, interleaved; a line of JSON each.

    python experiments/kmeans/2026-11-22-first-run/bench.py [--samples 30] [--shape 1m-128]
        [--impl auto]

Peers: FlashLib (its Triton paths), flash-kmeans, plain torch; those that cannot be imported are
named on stderr and left out. Every contender runs 20 iterations from the same start. No time is
printed of labels that a float64 search over 4,096 rows does not confirm, except of peers, whose
share of wrong labels is printed instead.
"""

import argparse
import json
import random
import statistics
import sys
import types
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

import onetrip

SHAPES = {
    "1m-128": (1_000_000, 128, 1024),
    "500k-256": (500_000, 256, 8192),
    "1m-64": (1_000_000, 64, 256),
    "4m-32": (4_000_000, 32, 100),
}
ITERATIONS = 20
CHECKED_ROWS = 4096
MOST_PRODUCTS_OF_TORCH = 200_000_000_000
Impl = Literal["auto", "triton", "gluon"]
Run = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def ours(precision: Literal["certified", "fast"], impl: Impl) -> Run:
    """The operator, which returns centres and the labels that match them."""

    def run(x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        centers, values = onetrip.kmeans(
            x, start, max_iter=ITERATIONS, tol=0.0, precision=precision, impl=impl
        )
        return centers, values["labels"]

    return run


def plain_torch(x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks of `cdist` and `index_add_`: what a user of torch writes."""
    centers = start.clone()
    labels = torch.empty(x.shape[0], dtype=torch.int64, device=x.device)
    for _ in range(ITERATIONS):
        for part in torch.arange(x.shape[0], device=x.device).split(65_536):
            labels[part] = torch.cdist(x[part], centers).argmin(1)
        sums = torch.zeros_like(centers).index_add_(0, labels, x)
        count = labels.bincount(minlength=centers.shape[0])[:, None]
        centers = torch.where(count > 0, sums / count, centers)
    return centers, labels


def flashlib(dtype: torch.dtype) -> Run:
    """FlashLib without the packages of its second backend, which it imports all the same."""

    def missing(*_args, **_kwargs):
        raise RuntimeError("the second backend is not installed")

    for operator, names in {
        "kmeans": {"cutedsl_kmeans_Euclid": missing},
        "knn": {"cutedsl_available": lambda: False, "cutedsl_flash_knn": missing},
        "hdbscan": {"cutedsl_hdbscan": missing},
    }.items():
        name = f"flashlib.primitives.{operator}.cutedsl"
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(names)
        sys.modules[name] = module
    from flashlib.primitives.kmeans import flash_kmeans  # pyright: ignore[reportMissingImports]

    def run(x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        labels, centers, _ = flash_kmeans(
            x.to(dtype),
            start.shape[0],
            max_iters=ITERATIONS,
            tol=0.0,
            init_centroids=start.to(dtype).clone(),  # it is overwritten
            backend="triton",
        )
        return centers, labels

    return run


def flash_kmeans_peer() -> Run:
    """The package flash-kmeans."""
    from flash_kmeans import batch_kmeans_Euclid  # pyright: ignore[reportMissingImports]

    def run(x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        labels, centers, _ = batch_kmeans_Euclid(
            x[None],
            n_clusters=start.shape[0],
            max_iters=ITERATIONS,
            tol=0.0,
            init_centroids=start[None].clone(),
        )
        return centers[0], labels[0]

    return run


def contenders(impl: Impl, products: int) -> dict[str, Run]:
    """Everybody who can be imported here; plain torch where it does not take seconds."""
    found: dict[str, Run] = {
        "onetrip-certified": ours("certified", impl),
        "onetrip-fast": ours("fast", impl),
    }
    if products <= MOST_PRODUCTS_OF_TORCH:
        found["torch"] = plain_torch
    for name, make in (
        ("flashlib-fp32", lambda: flashlib(torch.float32)),
        ("flashlib-bf16", lambda: flashlib(torch.bfloat16)),
        ("flash-kmeans", flash_kmeans_peer),
    ):
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def wrong_share(x: Tensor, centers: Tensor, labels: Tensor) -> float:
    """Share of rows, of those checked, whose label is not the nearest of the centres."""
    rows = torch.linspace(0, x.shape[0] - 1, CHECKED_ROWS, device=x.device).long()
    distances = torch.cdist(x[rows].double(), centers.double())
    chosen = distances.gather(1, labels[rows].long()[:, None]).squeeze(1)
    return float((chosen > distances.amin(1) * (1 + 1e-12)).double().mean())


def timed(run: Run, x: Tensor, start: Tensor) -> float:
    """Milliseconds of one call, between events on the device."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run(x, start)
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def measure(name: str, samples: int, impl: Impl) -> None:
    """One shape: check everybody, then time them in random order, round after round."""
    N, D, K = SHAPES[name]
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(N, D, generator=generator, device="cuda")
    start = x[:K].clone()
    runs, lines = contenders(impl, N * D * K), {}
    for who, run in runs.items():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        centers, labels = run(x, start)
        peak = torch.cuda.max_memory_allocated() - before
        wrong = wrong_share(x, centers, labels)
        if who == "onetrip-certified" and wrong:
            raise AssertionError(f"{name}: {wrong:.2%} of our certified labels are wrong")
        lines[who] = {"shape": name, "contender": who, "wrong_share": wrong, "peak_bytes": peak}
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(samples):
        for who in random.sample(list(runs), len(runs)):
            times[who].append(timed(runs[who], x, start))
    for who, line in lines.items():
        deciles = statistics.quantiles(times[who], n=10)
        line |= {
            "latency_ms": statistics.median(times[who]),
            "p10_p90_ms": [deciles[0], deciles[8]],
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Measure the shapes asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    parser.add_argument("--impl", choices=("auto", "triton", "gluon"), default="auto")
    arguments = parser.parse_args()
    print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__}))
    for name in arguments.shape or SHAPES:
        measure(name, arguments.samples, arguments.impl)


if __name__ == "__main__":
    main()

"""Compare the divergence of TSNE with scikit-learn's, over many starts that both begin from.

    python tools/tsne_divergence.py iris wine --starts 20
    python tools/tsne_divergence.py --save

Descent is chaotic after some hundred iterations: one run of each library says little. Every set is
embedded from the same starts by scikit-learn's exact method and by onetrip in both dtypes: PCA
starts moved by a millionth, and random ones. A line tells the mean divergence of each, the ratio of
the means, and the standard error of that ratio from the pairs. Each library runs on one thread.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

KIND = "divergence"
RESULTS = Path(__file__).resolve().parent.parent / "results" / "tsne" / "divergence.jsonl"
MOVE = 1e-6


def _scaled(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(0)) / X.std(0)


def _scikit_learns(name: str, rows: slice, scaled: bool) -> np.ndarray:
    import sklearn.datasets

    X = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)[0][rows]
    return _scaled(X) if scaled else X


def _clusters() -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = 4.0 * generator.standard_normal((10, 50))
    return generator.standard_normal((200, 50)) + centres[np.arange(200) % 10]


SETS: Mapping[str, Callable[[], np.ndarray]] = {
    "iris": lambda: _scikit_learns("iris", slice(None), False),
    "wine": lambda: _scikit_learns("wine", slice(None), True),
    "diabetes": lambda: _scikit_learns("diabetes", slice(None, None, 3), True),
    "breast_cancer": lambda: _scikit_learns("breast_cancer", slice(None, None, 3), True),
    "digits": lambda: _scikit_learns("digits", slice(200), False),
    "clusters": _clusters,
}


def pca_start(X: np.ndarray, seed: int) -> np.ndarray:
    """Principal components as scikit-learn starts from, each number moved by a millionth of it."""
    from sklearn.decomposition import PCA

    start = PCA(2, svd_solver="full").fit_transform(X)
    start *= 1e-4 / start[:, 0].std()
    moved = start * (1.0 + MOVE * np.random.default_rng(seed).standard_normal(start.shape))
    return moved.astype(np.float32)


def random_start(X: np.ndarray, seed: int) -> np.ndarray:
    """Normal numbers of standard deviation 1e-4."""
    return (1e-4 * np.random.default_rng(seed).standard_normal((len(X), 2))).astype(np.float32)


STARTS: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "pca": pca_start,
    "random": random_start,
}


def divergence_by(library: str, X: np.ndarray, start: np.ndarray, max_iter: int) -> float:
    """The divergence that a library ends with: "sklearn", "float64" or "float32" (ours)."""
    options: dict[str, Any] = {"init": start, "method": "exact", "max_iter": max_iter}
    if library == "sklearn":
        from sklearn.manifold import TSNE

        return float(TSNE(**options).fit(X).kl_divergence_)
    from onetrip.manifold import TSNE

    return TSNE(**options).fit(X.astype(library)).kl_divergence_


def ratio_of_means(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """The ratio of two means, and its standard error, from pairs.

    >>> ratio_of_means([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    (1.0, 0.0)
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    ratio = a.mean() / b.mean()
    # What is left of a pair where the ratio has explained what it can.
    rest = a - ratio * b
    return float(ratio), float(rest.std(ddof=1) / math.sqrt(len(a)) / b.mean())


def measure(name: str, start: str, starts: int, max_iter: int) -> list[dict[str, Any]]:
    """A line for each dtype of ours."""
    X = SETS[name]()
    found: dict[str, list[float]] = {"sklearn": [], "float64": [], "float32": []}
    for seed in range(starts):
        begin = STARTS[start](X, seed)
        for library, divergences in found.items():
            divergences.append(divergence_by(library, X, begin, max_iter))
    lines = []
    for dtype in ("float64", "float32"):
        ratio, error = ratio_of_means(found[dtype], found["sklearn"])
        lines.append(
            {
                "kind": KIND,
                "operator": "tsne",
                "workload": name,
                "axes": {"n_samples": X.shape[0], "n_features": X.shape[1]},
                "start": start,
                "max_iter": max_iter,
                "dtype": dtype,
                "onetrip": found[dtype],
                "sklearn": found["sklearn"],
                "ratio": ratio,
                "standard_error": error,
            }
        )
    return lines


def print_line(line: Mapping[str, Any]) -> None:
    """One line of the terminal's table."""
    ours, theirs = np.asarray(line["onetrip"]), np.asarray(line["sklearn"])
    print(
        f"{line['workload']:14} {line['start']:7} {line['dtype']} {len(ours)} starts: "
        f"{ours.mean():.5f} ± {ours.std(ddof=1):.5f}, sklearn {theirs.mean():.5f} ± "
        f"{theirs.std(ddof=1):.5f}, ratio {line['ratio']:.4f} ± {line['standard_error']:.4f}",
        flush=True,
    )


def main() -> int:
    """Measure the sets that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sets", nargs="*", choices=[*SETS, []])
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--max-iter", type=int, default=1000)
    parser.add_argument("--save", action="store_true", help="append lines to results/")
    options = parser.parse_args()
    if options.starts < 2:
        parser.error("--starts: a standard error wants two starts or more")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name in options.sets or SETS:
            for start in STARTS:
                lines = measure(name, start, options.starts, options.max_iter)
                for line in lines:
                    print_line(line)
                if options.save:
                    save(lines)
    return 0


def save(lines: list[dict[str, Any]]) -> None:
    """Append lines where the documentation reads them."""
    from onetrip.bench.environment import environment
    from onetrip.bench.results import append_results

    command = " ".join(["tsne_divergence.py", *sys.argv[1:]])
    made = {"environment": environment("cpu"), "command": command}
    append_results(RESULTS, [{**line, **made} for line in lines])


if __name__ == "__main__":
    sys.exit(main())

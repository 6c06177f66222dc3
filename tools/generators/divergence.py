"""The table of divergences beside scikit-learn's, from what `tools/tsne_divergence.py` saved."""

import math
from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from generators import results
from generators.markdown import table
from onetrip.bench.results import read_results
from onetrip.core.errors import DataError

_HEAD = ("samples", "start", "scikit-learn", "float64", "ratio", "float32", "ratio")


def divergence_table() -> str:
    """A row for each set and kind of start: mean and deviation of each, and ratios of the means."""
    path = results.FOLDER / "tsne" / "divergence.jsonl"
    newest: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for line in read_results(path):
        newest.setdefault((line["workload"], line["start"]), {})[line["dtype"]] = line
    if not newest:
        raise DataError(
            f"There is no line in {path.relative_to(results.FOLDER.parent)}. "
            "Measure with: python tools/tsne_divergence.py --save"
        )
    rows = [_row(name, start, by_dtype) for (name, start), by_dtype in sorted(newest.items())]
    together = ", ".join(
        f"{dtype} {_together(one[dtype] for one in newest.values())}"
        for dtype in ("float64", "float32")
    )
    made = _made_on([one["float64"] for one in newest.values()])
    return (
        f"{table(_HEAD, rows)}\n\nThe ratios together, weighed by their errors: {together}. {made}"
    )


def _row(name: str, start: str, by_dtype: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    one = by_dtype["float64"]
    sizes = "{n_samples:,} × {n_features:,}".format(**one["axes"])
    cells = [f"{name}, {sizes}", start, _mean(one["sklearn"])]
    for line in (by_dtype["float64"], by_dtype["float32"]):
        cells += [_mean(line["onetrip"]), f"{line['ratio']:.3f} ± {line['standard_error']:.3f}"]
    return tuple(cells)


def _together(lines: Iterable[Mapping[str, Any]]) -> str:
    """Mean of independent ratios, each weighed by the inverse of its variance.

    >>> _together([{"ratio": 1.0, "standard_error": 0.1}, {"ratio": 1.1, "standard_error": 0.1}])
    '1.050 ± 0.071'
    """
    pairs = [(line["ratio"], line["standard_error"] ** -2) for line in lines]
    weight = sum(each for _, each in pairs)
    mean = sum(ratio * each for ratio, each in pairs) / weight
    return f"{mean:.3f} ± {1.0 / math.sqrt(weight):.3f}"


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.4f} ± {stdev(values):.4f}"


def _made_on(lines: list[Mapping[str, Any]]) -> str:
    days = sorted({str(line["environment"]["time"])[:10] for line in lines})
    starts = sorted({len(line["onetrip"]) for line in lines})
    iterations = sorted({line["max_iter"] for line in lines})
    return (
        f"{', '.join(map(str, starts))} starts a row, the same for both, "
        f"{', '.join(map(str, iterations))} iterations, {', '.join(days)}. Beside a mean stands "
        "the standard deviation over the starts, beside the ratio of two means its standard error."
    )

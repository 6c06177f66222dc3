"""Hold `complexity` against chains and kinds of junk: areas under the curve, shares flagged.

Prints a table in Markdown; draws the curves where asked (needs matplotlib); measures the real
chains of a wheel of abnativ (CC BY-NC-SA 4.0, not shipped)::

    python tools/complexity_roc.py --plot docs/images/data/complexity-roc.svg
    pip download --no-deps abnativ==2.0.9
    python tools/complexity_roc.py --real abnativ-2.0.9-py3-none-any.whl
"""

import argparse
import importlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from onetrip.core.errors import require
from onetrip.data.sources.oas.synthetic.chain import draw_chain
from onetrip.data.steps.complexity import ComplexityStep
from onetrip.data.text.complexity import complexity

ROWS = 2000
AMINO_ACIDS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
# Share of residues of every piece of junk that are replaced by any other.
NOISE = 0.1

Draw = Callable[[np.random.Generator], np.ndarray]


def chain(rng: np.random.Generator) -> np.ndarray:
    """A whole variable domain, heavy or light."""
    drawn = draw_chain(str(rng.choice(["H", "K", "L"])), rng)
    return np.array(list(drawn.cells["sequence_alignment_aa"].text.replace("*", "Q")))


def noisy(letters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same with some residues replaced."""
    replaced = rng.random(letters.size) < NOISE
    return np.where(replaced, rng.choice(AMINO_ACIDS, letters.size), letters)


def homopolymer(rng: np.random.Generator) -> np.ndarray:
    """One residue over and over."""
    return noisy(np.full(rng.integers(90, 130), rng.choice(AMINO_ACIDS)), rng)


def few_letters(rng: np.random.Generator) -> np.ndarray:
    """Three residues in any order."""
    return noisy(rng.choice(rng.choice(AMINO_ACIDS, 3), rng.integers(90, 130)), rng)


def short_repeat(rng: np.random.Generator) -> np.ndarray:
    """A unit of 2 to 6 residues, repeated."""
    return noisy(np.resize(rng.choice(AMINO_ACIDS, rng.integers(2, 7)), 120), rng)


def long_repeat(rng: np.random.Generator) -> np.ndarray:
    """A unit of 12 to 25 residues, repeated."""
    return noisy(np.resize(rng.choice(AMINO_ACIDS, rng.integers(12, 26)), 120), rng)


def half_repeat(rng: np.random.Generator) -> np.ndarray:
    """A chain whose second half is a short repeat."""
    whole = chain(rng)
    half = whole.size // 2
    return np.concatenate([whole[:half], short_repeat(rng)[: whole.size - half]])


def shuffled(rng: np.random.Generator) -> np.ndarray:
    """A chain's residues in any order: not junk to this measure, and not to be flagged."""
    return rng.permutation(chain(rng))


JUNK: Mapping[str, Draw] = {
    "homopolymer": homopolymer,
    "few letters": few_letters,
    "short repeat": short_repeat,
    "long repeat": long_repeat,
    "half repeat": half_repeat,
    "shuffled chain": shuffled,
}


def area(chains: np.ndarray, junk: np.ndarray) -> float:
    """Probability that a piece of junk lies below a chain; ties count half."""
    ordered = np.sort(chains)
    above = chains.size - np.searchsorted(ordered, junk, side="right")
    equal = chains.size - np.searchsorted(ordered, junk, side="left") - above
    return float((above + equal / 2).mean() / chains.size)


def measured(draw: Draw, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Bits, ratios, and the share that the step flags."""
    rng = np.random.default_rng(seed)
    column = pa.array(["".join(draw(rng)) for _ in range(ROWS)])
    found = complexity(column)
    batch = pa.record_batch({"sequence_aa": column})
    flagged = ComplexityStep().apply(batch).counts["low_complexity"] / ROWS
    return found.bits, found.ratio, flagged


def real_chains(wheel: Path) -> Iterator[tuple[str, pa.Array]]:
    """Columns of whole chains in the tables of the wheel, by table and column."""
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            if "/percentiles/test_" in name and name.endswith(".csv"):
                read = pv.read_csv(io.BytesIO(files.read(name)))
                for column in read.column_names:
                    if column.startswith("input_seq"):
                        yield f"{Path(name).stem} {column}", read[column].combine_chunks()


def tell_real(wheel: Path) -> None:
    """Print how low real chains lie."""
    print("| table | chains | fewest bits | lowest ratio | flagged |\n|---|---|---|---|---|")
    for name, column in real_chains(wheel):
        found = complexity(column)
        flagged = ComplexityStep().apply(pa.record_batch({"sequence_aa": column})).counts
        low = f"{found.bits.min():.2f} | {found.ratio.min():.2f} | {flagged['low_complexity']}"
        print(f"| {name} | {len(column):,} | {low} |")


def main() -> None:
    """Print a table, and draw the curves where a path is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plot", metavar="SVG", help="where to draw the curves")
    parser.add_argument("--real", metavar="WHEEL", type=Path, help="measure its chains instead")
    asked = parser.parse_args()
    if asked.real is not None:
        tell_real(asked.real)
        return
    bits, ratio, flagged = measured(chain, 0)
    print("| drawn | AUC of bits | AUC of ratio | flagged |\n|---|---|---|---|")
    print(f"| chain | | | {flagged:.2%} |")
    curves = {}
    for seed, (name, draw) in enumerate(JUNK.items(), 1):
        of_bits, of_ratio, share = measured(draw, seed)
        print(f"| {name} | {area(bits, of_bits):.3f} | {area(ratio, of_ratio):.3f} | {share:.2%} |")
        curves[name] = ((bits, of_bits), (ratio, of_ratio))
    if asked.plot is not None:
        _draw(curves, asked.plot)


def _draw(curves: Mapping[str, tuple], out: str) -> None:
    matplotlib = require("matplotlib", extra="plot", purpose="A plot")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onetrip"
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True, constrained_layout=True)
    titles = ("bits a residue", "ratio to the shuffled sequence")
    for panel, title, pick in zip(panels, titles, (0, 1), strict=True):
        for name, both in curves.items():
            chains, junk = both[pick]
            bounds = np.unique(np.concatenate([chains, junk]))
            lost = np.searchsorted(np.sort(chains), bounds, side="right") / chains.size
            found = np.searchsorted(np.sort(junk), bounds, side="right") / junk.size
            style = ":" if name == "shuffled chain" else "-"
            panel.plot(np.append(0, lost), np.append(0, found), style, label=name)
        panel.set(title=title, xlabel="chains flagged (false)", xlim=(-0.02, 1), ylim=(0, 1.03))
    panels[0].set_ylabel("junk flagged (true)")
    panels[1].legend(loc="lower right")
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()

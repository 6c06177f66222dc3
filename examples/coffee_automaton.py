"""Cream mixes into coffee: its disorder only rises, its complexity rises and falls.

After Aaronson, Carroll and Ouellette, Quantifying the Rise and Fall of Complexity in Closed
Systems: The Coffee Automaton, arXiv 1405.6903, 2014. The cup is a grid of cells, cream above and
coffee below; in every step neighbours change places by chance. Its entropy is the compressed size
of all cells, its complexity the compressed size of what an eye sees from afar: the mean of the
cells around each place, in three shades. One fused operator makes a step (`coffee/mix.py`), the
measure is that of the step `complexity`.

    python examples/coffee_automaton.py
    python examples/coffee_automaton.py --sizes 64 128 256 --plot docs/images/coffee
"""

import argparse
import importlib
from dataclasses import dataclass
from pathlib import Path

import torch
from coffee.mix import mix, pack, unpack
from torch import Tensor

from onetrip.core.errors import require
from onetrip.data.text.lempel_ziv import compressed_bits

# Cells on a side of the square whose mean an eye sees, and how many shades it tells apart.
BLUR = 8
SHADES = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """The cup after some steps, with both of its compressed sizes in bits."""

    step: int
    cells: Tensor  # [H, W] bool
    entropy_bits: float
    complexity_bits: float


def seen(cells: Tensor) -> Tensor:
    """Shades [H - 7, W - 7], uint8, of cells [H, W]: the mean around each place, rounded."""
    mean = torch.nn.functional.avg_pool2d(cells[None, None].float(), BLUR, stride=1)[0, 0]
    return (mean * SHADES).clamp(max=SHADES - 1).to(torch.uint8)


def frame(step: int, cup: Tensor) -> Frame:
    """Measure a cup of packed cells."""
    cells = unpack(cup).cpu()
    fine, coarse = (picture.numpy().tobytes() for picture in (cells.to(torch.uint8), seen(cells)))
    return Frame(step, cells, compressed_bits(fine), compressed_bits(coarse))


def history(size: int, frames: int = 24, seed: int = 0, device: str = "cpu") -> list[Frame]:
    """Frames of one cup of `size` by `size` cells, from poured to mixed, evenly in log time."""
    cells = torch.zeros(size, size, dtype=torch.bool, device=device)
    cells[: size // 2] = True
    cup = pack(cells)
    # Mixing takes as many steps as the cup has cells; four times that leaves no trace.
    last = 4 * size**2
    steps = torch.logspace(0, torch.tensor(last).log10().item(), frames).long().unique().tolist()
    made, done = [frame(0, cup)], 0
    for step in steps:
        mix(cup, start=done, steps=step - done, seed=seed)
        made.append(frame(step, cup))
        done = step
    return made


def peak(frames: list[Frame]) -> Frame:
    """The frame at which the cup is most complex."""
    return max(frames, key=lambda one: one.complexity_bits)


def plot(histories: dict[int, list[Frame]], folder: Path) -> None:
    """Draw curves of all sizes, and pictures of the largest cup, as SVG."""
    matplotlib = require("matplotlib", extra="plot", purpose="A plot")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onetrip"
    pyplot = importlib.import_module("matplotlib.pyplot")
    folder.mkdir(parents=True, exist_ok=True)
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for size, frames in histories.items():
        time = [max(one.step, 0.5) / size**2 for one in frames]
        entropy = [one.entropy_bits / size**2 for one in frames]
        panels[0].plot(time, entropy, "o-", ms=3, label=f"{size} × {size}")
        panels[1].plot(time, [one.complexity_bits / 1000 for one in frames], "o-", ms=3)
    panels[0].set(title="entropy: all cells", ylabel="compressed bits a cell")
    panels[1].set(title="complexity: what is seen from afar", ylabel="compressed kbit")
    for panel in panels:
        panel.set(xscale="log", xlabel="steps / cells of the cup")
    panels[0].legend()
    figure.savefig(folder / "curves.svg", metadata={"Date": None})

    frames = histories[max(histories)]
    most = frames.index(peak(frames))
    shown = [frames[0], frames[most // 2 + 3], frames[most - 3], frames[most], frames[-1]]
    figure, rows = pyplot.subplots(2, len(shown), figsize=(9, 3.9), constrained_layout=True)
    for column, one in enumerate(shown):
        pictures = (one.cells.numpy(), seen(one.cells).numpy() / (SHADES - 1))
        for row, picture in enumerate(pictures):
            axes = rows[row][column]
            axes.imshow(picture, cmap="copper", vmin=-0.2, vmax=1.1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        rows[0][column].set_title(f"step {one.step:,}", fontsize=9)
        rows[1][column].set_xlabel(f"{one.complexity_bits / 1000:.1f} kbit", fontsize=9)
    rows[0][0].set_ylabel("all cells")
    rows[1][0].set_ylabel("seen from afar")
    figure.savefig(folder / "cups.svg", metadata={"Date": None}, dpi=100)


def main() -> None:
    """Mix cups of some sizes, print their sizes over time, and draw them where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64], metavar="CELLS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--plot", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    histories = {}
    for size in asked.sizes:
        histories[size] = frames = history(size, seed=asked.seed, device=asked.device)
        print(f"{size} × {size} cells\n    step  entropy bits  complexity bits")
        for one in frames:
            print(f"{one.step:8,} {one.entropy_bits:13,.0f} {one.complexity_bits:16,.0f}")
        most = peak(frames)
        print(
            f"Complexity rises from {frames[0].complexity_bits:,.0f} to "
            f"{most.complexity_bits:,.0f} bits at step {most.step:,}, "
            f"and falls to {frames[-1].complexity_bits:,.0f}."
        )
    if asked.plot is not None:
        plot(histories, asked.plot)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

"""Can the backward pass skip vocabulary tiles under an honest bound? See README.md.

    python filter.py --model FOLDER [--device cuda] [--rows 8192] [--out results.json]

FOLDER holds ``problem.safetensors`` (hidden [N, D], head [V, D], target [N]) as written by
``python -m onetrip.bench.stdlib_lm --out FOLDER``. Memory: three float32 [N, V] and float64
gradients. The tables of README.md are this script's output.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import torch
from far_field import FAR_FIELDS, filtered
from gradients import Error, Problem, exact, plain_bf16, solve
from orderings import ORDERINGS, ordered
from rules import Tile, live_tiles
from safetensors.torch import load_file
from torch import Tensor

TILES: tuple[Tile, ...] = ((128, 256), (128, 128), (256, 256), (1, 256))
ELEMENT_EPS = 2.0**-12
LIVE_POWERS = (6, 8, 10)
# L1 is loose enough at 2^-4 once a far field stands in for what is dropped.
ERROR_POWERS = {
    "L1": (4, 5, 6, 8, 10),
    "L2": (6, 8, 9, 10),
    "rank1": (6, 8, 9, 10, 11),
    "inner": (6, 8, 9, 10, 11),
}
# Rules that judge what one far field leaves, and stand for that one alone.
OWN_FAR_FIELD = ("rank1", "inner")
PARTS = ("norm", "largest", "own_median", "own")


@dataclass(frozen=True)
class Outcome:
    """One way to compute the gradients: what is alive and how wrong it is."""

    rule: str
    far: str
    tile: str
    ordering: str
    live: float
    dx: Error
    dw: Error

    def as_row(self) -> str:
        """A line of the table of errors."""
        numbers = [f"{value:.1e}" for value in (*astuple(self.dx), *astuple(self.dw))]
        cells = (self.rule, self.far, self.tile, self.ordering, f"{self.live:.3f}", *numbers)
        return "| " + " | ".join(cells) + " |"


def head_of_table() -> str:
    """Titles of the table of errors."""
    sides = [f"{side} {part}" for side in ("dX", "dW") for part in PARTS]
    titles = ("rule", "far field", "tile", "ordering", "live", *sides)
    return "| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|"


def share_of(live: Tensor) -> float:
    """Share of the tiles that are alive."""
    return live.float().mean().item()


def live_table(problems: dict[str, Problem]) -> Iterator[str]:
    """Live share of every rule, tile and ordering."""
    rules = [("element", ELEMENT_EPS, "element 2^-12")]
    rules += [(rule, 2.0**-k, f"{rule} 2^-{k}") for rule in ERROR_POWERS for k in LIVE_POWERS]
    yield "| tile | ordering | " + " | ".join(title for *_, title in rules) + " |"
    yield "|---" * (2 + len(rules)) + "|"
    for tile in TILES:
        for ordering, problem in problems.items():
            # One row alone is of rank one: those rules say nothing there.
            shares = [
                "-"
                if tile[0] == 1 and rule in OWN_FAR_FIELD
                else f"{share_of(live_tiles(problem, tile, rule, eps)):.3f}"
                for rule, eps, _ in rules
            ]
            yield f"| {tile[0]}x{tile[1]} | {ordering} | " + " | ".join(shares) + " |"


def outcomes(problems: dict[str, Problem], tiles: tuple[Tile, ...]) -> Iterator[Outcome]:
    """Plain torch and the exact operator, then every setting."""
    first = next(iter(problems.values()))
    yield Outcome("plain bf16 torch", "-", "-", "-", 1.0, *plain_bf16(first))
    yield Outcome("exact operator", "-", "-", "-", 1.0, *exact(first))
    for tile in tiles:
        label = f"{tile[0]}x{tile[1]}"
        for ordering, problem in problems.items():
            live = live_tiles(problem, tile, "element", ELEMENT_EPS)
            errors = filtered(problem, live, tile, "none", one_hot=False)
            yield Outcome("element 2^-12", "none", label, ordering, share_of(live), *errors)
            for rule, powers in ERROR_POWERS.items():
                for k in powers:
                    live = live_tiles(problem, tile, rule, 2.0**-k)
                    for far in (rule,) if rule in OWN_FAR_FIELD else FAR_FIELDS:
                        errors = filtered(problem, live, tile, far)
                        name = f"{rule} 2^-{k}"
                        yield Outcome(name, far, label, ordering, share_of(live), *errors)


def verdicts(found: list[Outcome]) -> Iterator[str]:
    """The least work whose error is at most that of plain bf16 torch, for ever stricter "error"."""
    plain, *others = found
    for count in range(1, len(PARTS) + 1):
        honest = [
            outcome
            for outcome in others[1:]
            if all(
                getattr(getattr(outcome, side), part) <= getattr(getattr(plain, side), part)
                for side in ("dx", "dw")
                for part in PARTS[:count]
            )
        ]
        yield f"\nNo more error than plain bf16 torch in {', '.join(PARTS[:count])}:\n"
        yield head_of_table()
        yield from (o.as_row() for o in sorted(honest, key=lambda o: o.live)[:4])


def main() -> None:
    """Read the model's problem, measure, print the tables."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--all-tiles", action="store_true", help="errors of every tile shape")
    parser.add_argument("--out", type=Path, help="every outcome as JSON")
    chosen = parser.parse_args()
    begin = time.monotonic()
    data = load_file(chosen.model / "problem.safetensors", device=chosen.device)
    hidden, target = data["hidden"][: chosen.rows], data["target"][: chosen.rows]
    base = solve(hidden.bfloat16(), data["head"].bfloat16(), target)
    quantiles = base.p_target.quantile(torch.tensor([0.1, 0.5, 0.9], device=hidden.device))
    print(f"N={len(hidden)} D={hidden.shape[1]} V={len(base.w)}, loss {base.loss:.3f} nats")
    print("p_target, quantiles .1 .5 .9:", " ".join(f"{q:.2g}" for q in quantiles.tolist()))
    print(f"entries of the softmax > 2^-12: {(base.p > ELEMENT_EPS).float().mean().item():.4f}\n")

    problems = {name: base.reordered(*ordered(name, base)) for name in ORDERINGS}
    print("\n".join(live_table(problems)), flush=True)
    print("\n" + head_of_table())
    found = []
    tiles = tuple(t for t in TILES if t[0] > 1) if chosen.all_tiles else TILES[:1]
    for outcome in outcomes(problems, tiles):
        found.append(outcome)
        print(outcome.as_row(), flush=True)
    print("\n".join(verdicts(found)))
    print(f"\n{time.monotonic() - begin:.0f} s on {chosen.device}")
    if chosen.out is not None:
        chosen.out.write_text(json.dumps([asdict(outcome) for outcome in found], indent=1))


if __name__ == "__main__":
    main()

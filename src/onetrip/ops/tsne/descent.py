"""Gradient descent with momentum and gains: the schedule of t-SNE, whatever takes the steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

# Iterations between two looks at error and gradient.
_CHECK = 50
MIN_GAIN = 0.01

# (embedding [N, M], exaggeration, whether the divergence is wanted) -> gradient [N, M], divergence
Forces = Callable[[Tensor, float, bool], tuple[Tensor, float]]
# (iteration, divergence, norm of the gradient), at every look
Progress = Callable[[int, float, float], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, and when to stop; names as in scikit-learn."""

    early_exaggeration: float
    max_iter: int
    exploration_iter: int
    n_iter_without_progress: int
    min_grad_norm: float


class Walk(Protocol):
    """An embedding on its way down, wherever its state lives."""

    def rest(self) -> None:
        """Forget momentum and gains, as each phase begins without them."""
        ...

    def step(self, exaggeration: float, momentum: float, wanted: bool) -> None:
        """Move once; `wanted` says whether a look may follow."""
        ...

    def look(self) -> tuple[float, float]:
        """Divergence at the last step's start, and norm of the gradient that it followed."""
        ...

    def embedding(self) -> Tensor:
        """Where the samples are, [N, M]."""
        ...


class ForcedWalk:
    """A walk in plain torch along the gradients that a function computes.

    Parameters
    ----------
    forces : function of embedding, exaggeration, and whether the divergence is wanted.
    start : Tensor [N, M]
    rate : learning rate.
    """

    def __init__(self, forces: Forces, start: Tensor, rate: float) -> None:
        self._forces, self._rate = forces, rate
        self._y = start.clone()
        self._divergence = math.inf
        self.rest()

    def rest(self) -> None:
        """Forget momentum and gains."""
        self._update, self._gains = torch.zeros_like(self._y), torch.ones_like(self._y)

    def step(self, exaggeration: float, momentum: float, wanted: bool) -> None:
        """Follow the gradient once."""
        gradient, self._divergence = self._forces(self._y, exaggeration, wanted)
        # A coordinate that turned around has gone too far; one that did not may go faster.
        keeps_on = self._update * gradient < 0
        gains = torch.where(keeps_on, self._gains + 0.2, self._gains * 0.8)
        self._gains = gains.clamp_min_(MIN_GAIN)
        self._gradient = gradient * self._gains
        self._update.mul_(momentum).sub_(self._gradient, alpha=self._rate)
        self._y += self._update

    def look(self) -> tuple[float, float]:
        """Divergence and norm of the gradient, of the last step."""
        return self._divergence, float(torch.linalg.vector_norm(self._gradient))

    def embedding(self) -> Tensor:
        """Where the samples are, [N, M]."""
        return self._y


def descend(
    walk: Walk, schedule: Schedule, progress: Progress | None = None
) -> tuple[Tensor, float, int]:
    """Walk down both phases; returns embedding, divergence, last iteration."""
    exploration = min(schedule.exploration_iter, schedule.max_iter)
    divergence, last = _phase(
        walk,
        range(exploration),
        schedule.min_grad_norm,
        exaggeration=schedule.early_exaggeration,
        momentum=0.5,
        patience=schedule.exploration_iter,
        progress=progress,
    )
    rest = range(last + 1, schedule.max_iter)
    if rest:
        divergence, last = _phase(
            walk,
            rest,
            schedule.min_grad_norm,
            exaggeration=1.0,
            momentum=0.8,
            patience=schedule.n_iter_without_progress,
            progress=progress,
        )
    return walk.embedding(), divergence, last


def _phase(
    walk: Walk,
    iterations: range,
    min_grad_norm: float,
    *,
    exaggeration: float,
    momentum: float,
    patience: int,
    progress: Progress | None,
) -> tuple[float, int]:
    walk.rest()
    best, best_at = math.inf, iterations.start
    divergence, i = math.inf, iterations.start - 1
    for i in iterations:
        looks = (i + 1) % _CHECK == 0
        wanted = looks or i == iterations.stop - 1
        walk.step(exaggeration, momentum, wanted)
        if not wanted:
            continue
        divergence, norm = walk.look()
        if not looks:
            continue
        if progress is not None:
            progress(i + 1, divergence, norm)
        if divergence < best:
            best, best_at = divergence, i
        elif i - best_at > patience:
            break
        if norm <= min_grad_norm:
            break
    return divergence, i

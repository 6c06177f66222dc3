"""Gradient descent with momentum and gains: the schedule of t-SNE, whatever computes the forces."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Iterations between two looks at error and gradient.
_CHECK = 50
_MIN_GAIN = 0.01

# (embedding [N, M], exaggeration, whether the divergence is wanted) -> gradient [N, M], divergence
Forces = Callable[[Tensor, float, bool], tuple[Tensor, float]]
# (iteration, divergence, norm of the gradient), at every look
Progress = Callable[[int, float, float], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, how fast, and when to stop; names as in scikit-learn."""

    early_exaggeration: float
    learning_rate: float
    max_iter: int
    exploration_iter: int
    n_iter_without_progress: int
    min_grad_norm: float


def descend(
    forces: Forces, start: Tensor, schedule: Schedule, progress: Progress | None = None
) -> tuple[Tensor, float, int]:
    """Follow the forces from `start` [N, M]; returns embedding, divergence, last iteration."""
    exploration = min(schedule.exploration_iter, schedule.max_iter)
    y, divergence, last = _phase(
        forces,
        start,
        range(exploration),
        schedule,
        exaggeration=schedule.early_exaggeration,
        momentum=0.5,
        patience=schedule.exploration_iter,
        progress=progress,
    )
    rest = range(last + 1, schedule.max_iter)
    if rest:
        y, divergence, last = _phase(
            forces,
            y,
            rest,
            schedule,
            exaggeration=1.0,
            momentum=0.8,
            patience=schedule.n_iter_without_progress,
            progress=progress,
        )
    return y, divergence, last


def _phase(
    forces: Forces,
    start: Tensor,
    iterations: range,
    schedule: Schedule,
    *,
    exaggeration: float,
    momentum: float,
    patience: int,
    progress: Progress | None,
) -> tuple[Tensor, float, int]:
    y = start.clone()
    update, gains = torch.zeros_like(y), torch.ones_like(y)
    best, best_at = math.inf, iterations.start
    divergence, i = math.inf, iterations.start - 1
    for i in iterations:
        looks = (i + 1) % _CHECK == 0
        gradient, divergence = forces(y, exaggeration, looks or i == iterations.stop - 1)
        # A coordinate that turned around has gone too far; one that did not may go faster.
        keeps_on = update * gradient < 0
        gains = torch.where(keeps_on, gains + 0.2, gains * 0.8).clamp_min_(_MIN_GAIN)
        gradient = gradient * gains
        update.mul_(momentum).sub_(gradient, alpha=schedule.learning_rate)
        y += update
        if not looks:
            continue
        norm = float(torch.linalg.vector_norm(gradient))
        if progress is not None:
            progress(i + 1, divergence, norm)
        if divergence < best:
            best, best_at = divergence, i
        elif i - best_at > patience:
            break
        if norm <= schedule.min_grad_norm:
            break
    return y, divergence, i

"""`onetrip.tsne`: contract, checks, dispatch."""

from typing import Literal

import torch
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import (
    ArgumentError,
    DtypeError,
    ShapeError,
    complaint,
)
from onetrip.core.selection import resolve
from onetrip.ops.tsne import select
from onetrip.ops.tsne.descent import ForcedWalk, Progress, Schedule, descend
from onetrip.ops.tsne.reference import default_rate, starting_points, tsne_reference
from onetrip.ops.tsne.torch_impl import make_forces
from onetrip.tile.problem import problem_on

Impl = Literal["auto", "reference", "torch", "triton"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def tsne(
    x: Tensor,
    *,
    n_components: int = 2,
    perplexity: float = 30.0,
    early_exaggeration: float = 12.0,
    learning_rate: float | None = None,
    max_iter: int = 1000,
    exploration_iter: int = 250,
    n_iter_without_progress: int = 300,
    min_grad_norm: float = 1e-7,
    init: Tensor | None = None,
    seed: int = 0,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    impl: Impl = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Embed samples in a plane or in space, by exact t-SNE.

    Computes scikit-learn's ``TSNE(method="exact")``, whose every iteration goes over several
    matrices [N, N] in float64. Here a tile of pairs stays in cache, or on chip, from its distances
    to the forces on its samples.
    Affinities are kept where they fit `memory_budget`; else a pass recomputes them from x, both
    conditional probabilities from one tile of distances. On a GPU only neighbours that count are
    kept; the others together have at most 1e-8 of a sample's mass.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16 | float64
        Samples; distances are Euclidean.
    n_components : int, default 2
        Dimensions of the embedding.
    perplexity : float, default 30.0
        Effective number of neighbours, less than N.
    early_exaggeration : float, default 12.0
        Factor of the affinities in the first `exploration_iter` iterations.
    learning_rate : float, optional
        N / `early_exaggeration` / 4 by default, at least 50.
    max_iter : int, default 1000
        Iterations in all.
    exploration_iter : int, default 250
        Iterations with exaggeration and a momentum of 0.5; later ones have 0.8.
    n_iter_without_progress : int, default 300
        Stop when the divergence has not fallen for so long; looked at every 50 iterations.
    min_grad_norm : float, default 1e-7
        Stop when the gradient is shorter.
    init : Tensor [N, n_components], optional
        Where to start; normal numbers of standard deviation 1e-4 by default.
    seed : int, default 0
        Of these.
    memory_budget : int, optional
        Bytes that kept affinities may take; by default 256 MiB on a CPU, 8 GiB on a GPU, but at
        most a tenth of its memory. More memory, less recomputation.
    progress : callable, optional
        Called every 50 iterations with iteration, divergence and norm of the gradient.
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    embedding : Tensor [N, n_components], float32, or float64 if `x` is
    values : dict of str to Tensor
        "kl_divergence" [], of the last iteration's start, as in scikit-learn; "n_iter" [], int64,
        number of the last iteration, counted from 0.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument that does not fit: which, what was expected, what came.
    UnsupportedError
        `impl` cannot run this problem here, or `perplexity` is not less than N.

    Notes
    -----
    Not differentiable. Two runs on one device are bit-equal. Error budget: `spec.py`. Operations
    grow with the square of N, memory with N beyond the budget.

    References
    ----------
    van der Maaten and Hinton, JMLR 9 (2008). scikit-learn's TSNE. Belkina et al., Nature
    Communications 10 (2019).

    Examples
    --------
    >>> import onetrip, torch
    >>> x = torch.cat([torch.zeros(8, 3), torch.ones(8, 3)]) + 0.01 * torch.eye(16, 3)
    >>> embedding, values = onetrip.tsne(x, perplexity=4.0, max_iter=300)
    >>> embedding.shape, values["n_iter"].item()
    (torch.Size([16, 2]), 299)
    """
    options = {
        "n_components": n_components,
        "perplexity": perplexity,
        "early_exaggeration": early_exaggeration,
        "learning_rate": learning_rate,
        "max_iter": max_iter,
        "exploration_iter": exploration_iter,
        "n_iter_without_progress": n_iter_without_progress,
        "min_grad_norm": min_grad_norm,
        "seed": seed,
        "memory_budget": memory_budget,
    }
    _check(x, init, n_components, options)
    N, D = x.shape
    if recording.active():
        recording.note("tsne", {"x": x}, options)
    chosen, config = resolve(
        select.OPERATOR, select, impl, problem_on(x.device, {"N": N, "D": D}, x.dtype, options)
    )
    x = x.detach()
    if chosen == "reference":
        return tsne_reference(x, init=init, **options)  # type: ignore[arg-type]
    rate = default_rate(N, early_exaggeration) if learning_rate is None else learning_rate
    schedule = Schedule(
        early_exaggeration, max_iter, exploration_iter, n_iter_without_progress, min_grad_norm
    )
    start = starting_points(N, n_components, seed) if init is None else init.detach()
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    start = start.to(device=x.device, dtype=dtype)
    if chosen == "triton":
        # Imported when it is wanted: the kernels bring Triton with them.
        from onetrip.ops.tsne.triton_impl import KernelWalk

        walk = KernelWalk(x, start, rate, float(perplexity), memory_budget, config)
    else:
        forces = make_forces(x, n_components, float(perplexity), memory_budget, config)
        walk = ForcedWalk(forces, start, rate)
    embedding, divergence, last = descend(walk, schedule, progress)
    return embedding, {
        "kl_divergence": embedding.new_tensor(divergence),
        "n_iter": torch.tensor(last, device=x.device),
    }


def _check(x: Tensor, init: Tensor | None, n_components: int, options: dict[str, object]) -> None:
    if x.dim() != 2 or 0 in x.shape:
        expected = "a matrix [N, D] with at least one row and one column"
        raise ShapeError(complaint("x", expected=expected, got=list(x.shape)))
    if x.dtype not in _DTYPES:
        expected = "float32, float16, bfloat16 or float64"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    wanted = [x.shape[0], n_components]
    if init is not None and list(init.shape) != wanted:
        expected = f"a matrix [N, n_components] = {wanted}"
        raise ShapeError(complaint("init", expected=expected, got=list(init.shape)))
    for name, least in (
        ("n_components", 1),
        ("early_exaggeration", 1.0),
        ("max_iter", 1),
        ("exploration_iter", 0),
        ("min_grad_norm", 0.0),
    ):
        if options[name] < least:  # type: ignore[operator]
            raise ArgumentError(complaint(name, expected=f"a number >= {least}", got=options[name]))
    for name in ("perplexity", "learning_rate"):
        value = options[name]
        if value is not None and value <= 0:  # type: ignore[operator]
            raise ArgumentError(complaint(name, expected="a number > 0", got=value))

"""The decomposition from one trip in halves, where that is exact enough: six launches, one look."""

import math

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.kernel_moments_triton import _truncated_svd_leading_kernel
from onetrip.ops.truncated_svd.kernel_triton import gram_moments, on_device_of
from onetrip.ops.truncated_svd.solve import is_exact_enough


def decompose_in_one_trip(
    x: Tensor, kept: int, center: bool, correct: str, config: Config
) -> tuple[Tensor, dict[str, Tensor]] | None:
    """What `truncated_svd` returns of x [N, D], N at least D, or None where digits would lack.

    The rest of the work beside the Gram matrix and its eigenvectors is too small for a device to
    be busy with it: it is done in one launch, and one look tells the host all that decides.
    """
    N, D = x.shape
    moments = gram_moments(x, center, config)
    gram = moments.gram
    # Where a half overflowed there is no decomposition; what comes out instead is not accepted.
    values, vectors = torch.linalg.eigh(gram.nan_to_num(0.0, 0.0, 0.0))
    singular_values = torch.empty(kept, dtype=torch.float32, device=x.device)
    components = torch.empty(kept, D, dtype=torch.float32, device=x.device)
    looked = torch.empty(2 * kept + 1, dtype=torch.float64, device=x.device)
    with on_device_of(x):
        _truncated_svd_leading_kernel[(kept,)](
            *(values, vectors, moments.errors, gram, singular_values, components, looked, D, kept),
            *vectors.stride(),
            BLOCK_S=triton.next_power_of_2(D),
        )
    *found, trace = looked.tolist()
    if not is_exact_enough(trace, found[:kept], found[kept:], D, correct):
        return None
    left = 0.0 if kept == D else max(0.0, trace - math.fsum(found[:kept]))
    return singular_values, {
        "components": components,
        "mean": moments.mean.float(),
        "total_variance": (moments.total / N).float(),
        "residual": torch.tensor(left / N, dtype=torch.float32, device=x.device),
    }

"""What the counts say of new samples: a linear layer over the logarithms of probabilities."""

from collections.abc import Iterator

import torch
from torch import Tensor

from onetrip.ops.multinomial_nb.checked import refuse_infinite

# Samples that are widened at a time, where they come in another dtype than the probabilities.
_BLOCK_BYTES = 1 << 24
_UNIT = 2.0**-24
# Values of these are exact in float32.
_NARROW = (torch.float32, torch.float16, torch.bfloat16, torch.int16, torch.int8, torch.uint8)


def joint_log_likelihood(x: Tensor, log_prob: Tensor, log_prior: Tensor) -> Tensor:
    """Compute ``log_prior + x @ log_prob.T`` [N, C], reading x once and copying a block of it.

    Parameters
    ----------
    x : Tensor [N, D], any real dtype
    log_prob : Tensor [C, D], float32 | float64
        Its dtype is that of the answer.
    log_prior : Tensor [C], of the same dtype
    """
    out = torch.empty(x.shape[0], log_prob.shape[0], dtype=log_prob.dtype, device=x.device)
    for rows in _blocks(x, log_prob.dtype):
        torch.addmm(log_prior, x[rows].to(log_prob.dtype), log_prob.T, out=out[rows])
    return out


def likeliest_class(
    x: Tensor, log_prob: Tensor, log_prior: Tensor, *, certified: bool = True
) -> tuple[Tensor, float]:
    """The class [N] of each sample by float64's decision, and the share evaluated in float64.

    Products in float32 decide where they can. No term of a score is positive, so its rounding
    error, in whatever order its D terms were added, is at most (D + 3) 2⁻²⁴ times the score; where
    the best two are closer than their errors, the sample is evaluated anew in float64. Without
    `certified` float32 decides alone.

    Parameters
    ----------
    x : Tensor [N, D], any real dtype, nothing negative
    log_prob : Tensor [C, D], float64
    log_prior : Tensor [C], float64
    """
    C, D = log_prob.shape
    # The tiles of the kernels do not fit the shared memory of an AMD device.
    kernels = x.is_cuda and torch.version.hip is None
    if kernels and x.dtype in _NARROW and C > 1 and x.numel():
        found = _on_device(x, log_prob, log_prior, certified)
        if found is not None:
            return found
    narrow = x.dtype in _NARROW and bool(torch.isfinite(log_prob).all())
    if not narrow or C == 1:
        return joint_log_likelihood(x, log_prob, log_prior).argmax(1), 0.0 if C == 1 else 1.0
    scores = joint_log_likelihood(x, log_prob.float(), log_prior.float())  # [N, C]
    best, second = scores.topk(2, dim=1)[0].unbind(1)
    labels = scores.argmax(1)
    if not certified:
        return labels, 0.0
    error = (D + 3) * _UNIT
    sure = best * (1.0 + error) > second * (1.0 - error)  # scores are at most 0
    doubtful = torch.nonzero(~sure)[:, 0]
    if len(doubtful):
        labels[doubtful] = joint_log_likelihood(x[doubtful], log_prob, log_prior).argmax(1)
    return labels, len(doubtful) / max(len(labels), 1)


def _on_device(
    x: Tensor, log_prob: Tensor, log_prior: Tensor, certified: bool
) -> tuple[Tensor, float] | None:
    """The same by kernels, or None where a class has a feature that it never sees.

    The host waits once, at the end, for the number of doubts and whether all was finite. A sample
    that is not is refused.
    """
    from onetrip.ops.multinomial_nb.kernel_predict_triton import likeliest_class_and_doubts

    labels, seen = likeliest_class_and_doubts(x, log_prob, log_prior, certified)
    doubtful, infinite = seen.tolist()
    if infinite:
        refuse_infinite(x)
        return None
    return labels, doubtful / len(labels) if certified else 0.0


def _blocks(x: Tensor, dtype: torch.dtype) -> Iterator[slice]:
    """Rows that are copied at a time; all of them where no copy is needed."""
    if x.dtype == dtype:
        yield slice(None)
        return
    rows = max(_BLOCK_BYTES // max(x.shape[1] * dtype.itemsize, 1), 1)
    for start in range(0, x.shape[0], rows):
        yield slice(start, start + rows)

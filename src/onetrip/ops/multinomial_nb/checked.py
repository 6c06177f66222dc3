"""The counts of samples on a device, with a look at what was counted, in the same trip."""

import torch
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint
from onetrip.ops.multinomial_nb import select
from onetrip.ops.multinomial_nb.api import multinomial_nb
from onetrip.tile.problem import problem_on


def count_and_check(
    x: Tensor,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    sample_weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`multinomial_nb` of x [N, D], and whether a sample may be negative or not finite, a bool [].

    Nobody waits for the device. What is not finite makes a sum that is not, so no trip is taken to
    look for it. Where the classes fit one tile, the kernel that adds the samples sees their signs
    too.
    """
    axes = {"N": x.shape[0], "D": x.shape[1], "C": class_count.numel()}
    choice = select.choose(problem_on(x.device, axes, x.dtype))
    if select.kernel_file(choice.impl, choice.config) == "kernel_one_hot_triton":
        from onetrip.ops.multinomial_nb.kernel_one_hot_triton import count

        negative = torch.zeros(1, dtype=torch.int32, device=x.device)
        features, classes = count(
            x, y, feature_count, class_count, sample_weight, choice.config, negative
        )
        wrong = negative[0] > 0
    else:
        features, extra = multinomial_nb(
            x, y, feature_count, class_count, sample_weight=sample_weight
        )
        classes = extra["class_count"]
        wrong = x.amin() < 0
    return features, classes, wrong | ~torch.isfinite(features).all()


def refuse_infinite(x: Tensor) -> None:
    """Raise where a sample of x [N, D] is not finite."""
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        way_out = "Drop or impute those rows."
        raise ArgumentError(
            complaint("X", expected="finite", got="NaN or infinity", way_out=way_out)
        )


def kernels_see_all(x: Tensor) -> bool:
    """Whether the kernels that take x [N, D] meet what is not finite, so that nobody need look."""
    narrow = x.dtype in (torch.float32, torch.float16, torch.bfloat16)
    return x.is_cuda and torch.version.hip is None and narrow

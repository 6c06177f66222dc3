"""The counts in plain torch: blocks of rows, added class by class in their own precision.

A block is added in float32 (whole numbers up to 2^24 stay exact) and blocks in float64, so that
no sum grows long in the narrower type. Integers that float32 does not hold are added in float64,
and so is what is weighted in float64.
"""

import torch
from torch import Tensor

from onetrip.core.selection import Config

# Below this many features the addition of a row costs more than a product with the classes, and
# below this many multiplications in all, waking the threads does.
_NARROW = 16
_SMALL = 1 << 22
# Numbers of a block.
_BLOCK = 1 << 21
_EXACT_IN_FLOAT32 = (torch.int16, torch.int8, torch.uint8)


def block_dtype(x: torch.dtype, weight: torch.dtype | None = None) -> torch.dtype:
    """The dtype in which a block of rows is added."""
    if weight != torch.float64 and x in (
        torch.float32,
        torch.float16,
        torch.bfloat16,
        *_EXACT_IN_FLOAT32,
    ):
        return torch.float32
    return torch.float64


def block_rows(features: int, classes: int, config: Config) -> int:
    """Rows of a block: its copy in another dtype stays small, and its sums are seldom added."""
    return max(min(config["rows"], _BLOCK // max(features, 1)), 8 * classes, 1)


def count(
    x: Tensor,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    sample_weight: Tensor | None,
    config: Config,
) -> tuple[Tensor, Tensor]:
    """Return feature_count [C, D] and class_count [C], with the rows of x [N, D] added."""
    features, classes = feature_count.clone(), class_count.clone()
    C = classes.numel()
    dtype = block_dtype(x.dtype, None if sample_weight is None else sample_weight.dtype)
    step = block_rows(x.shape[1], C, config)
    for start in range(0, x.shape[0], step):
        rows = slice(start, start + step)
        labels = y[rows].long()
        weight = None if sample_weight is None else sample_weight[rows]
        features += _sums(x[rows].to(dtype), labels, weight, C)
        if weight is None:
            classes += torch.bincount(labels, minlength=C)
        else:
            classes += torch.bincount(labels, weights=weight.double(), minlength=C)
    return features, classes


def _sums(block: Tensor, labels: Tensor, weight: Tensor | None, C: int) -> Tensor:
    """Sums [C, D] of the block's rows by class."""
    by_row = block.shape[1] >= _NARROW and C * block.numel() >= _SMALL
    if block.device.type == "cpu" and by_row:
        if weight is not None:
            block = block * weight[:, None].to(block.dtype)
        return block.new_zeros(C, block.shape[1]).index_add_(0, labels, block)
    # On a device, adding rows by index would add them in an order that no run repeats.
    one_hot = block.new_zeros(len(labels), C)
    marks = block.new_ones(len(labels)) if weight is None else weight.to(block.dtype)
    one_hot.scatter_(1, labels[:, None], marks[:, None])
    return one_hot.T @ block

"""The naive submission: the definition, a row at a time."""

import torch
from task import input_t, output_t


def custom_kernel(data: input_t) -> output_t:
    """Call torch five times for every row."""
    out = torch.empty_like(data)
    for row in range(data.shape[0]):
        exponentials = torch.exp(data[row] - data[row].max())
        out[row] = exponentials / exponentials.sum()
    return out

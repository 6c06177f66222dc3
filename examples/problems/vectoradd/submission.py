"""The naive submission: three steps through memory in place of one."""

from task import input_t, output_t


def custom_kernel(data: input_t) -> output_t:
    """Copy the first matrix, then add the second to it."""
    first, second = data
    out = first.clone()
    out += second
    return out

"""A kernel in the interpreter that touches what is not its own fails, and says where."""

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.errors import InterpreterError

from onetrip.tile.problem import is_interpreting

pytestmark = pytest.mark.skipif(not is_interpreting(), reason="kernels are compiled here")


@triton.jit
def _copy_kernel(x_ptr, out_ptr, N, limit, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < limit), mask=offs < N)


@triton.jit
def _count_kernel(count_ptr, at, BLOCK: tl.constexpr):
    tl.atomic_add(count_ptr + at + tl.arange(0, BLOCK), 1)


@triton.jit
def _write_kernel(out_ptr, start):
    tl.store(out_ptr + start, 1.0)


def test_what_masks_stop_is_not_touched():
    x, out = torch.arange(5.0), torch.empty(5)
    _copy_kernel[(1,)](x, out, 5, 5, BLOCK=8)
    assert torch.equal(x, out)


def test_a_load_beyond_its_tensor_fails():
    x, out = torch.arange(5.0), torch.empty(5)
    complaint = "_copy_kernel reads 4 bytes .* 20 bytes from the start of x_ptr, which has 20"
    with pytest.raises(InterpreterError, match=complaint):
        _copy_kernel[(1,)](x, out, 5, 8, BLOCK=8)


def test_a_view_ends_where_it_ends():
    """What lies beyond is of the same storage, and none of the kernel's business."""
    out = torch.zeros(10)
    with pytest.raises(InterpreterError, match="_write_kernel writes 4 bytes"):
        _write_kernel[(1,)](out[2:5], 3)
    with pytest.raises(InterpreterError, match="before all of them"):
        _write_kernel[(1,)](out[2:5], -1)
    assert not out.any()


def test_rows_of_a_wider_matrix_are_all_of_an_argument():
    x, out = torch.arange(12.0).view(3, 4)[:, :2], torch.empty(10)
    _copy_kernel[(1,)](x, out, 10, 10, BLOCK=16)
    assert torch.equal(out, torch.arange(10.0))


def test_an_atomic_beyond_its_tensor_fails():
    count = torch.zeros(4, dtype=torch.int32)
    _count_kernel[(1,)](count, 0, BLOCK=4)
    with pytest.raises(InterpreterError, match="_count_kernel writes 4 bytes"):
        _count_kernel[(1,)](count, 1, BLOCK=4)
    assert count.tolist() == [1, 1, 1, 1]

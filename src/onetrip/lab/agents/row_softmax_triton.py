"""Row softmax on a GPU: from separate calls of torch to a Triton kernel of one trip."""

from onetrip.lab.agents.ladder import Step, expected

_CALLS = """\
import torch


def custom_kernel(data):
    shifted = data - data.amax(dim=-1, keepdim=True)
    exponentials = torch.exp(shifted)
    return exponentials / exponentials.sum(dim=-1, keepdim=True)
"""

_KERNEL = """\
import torch
import triton
import triton.language as tl


@triton.jit
def _softmax_kernel(x_ptr, y_ptr, D, BLOCK_D: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * D
    columns = tl.arange(0, BLOCK_D)
    mask = columns < D
    x = tl.load(x_ptr + row + columns, mask=mask, other=float("-inf")).to(tl.float32)
    y = tl.exp(x{shift})
    y = tl.where(mask, y, 0.0)
    y = y / tl.sum(y, axis=0)
    tl.store(y_ptr + row + columns, y.to(y_ptr.dtype.element_ty), mask=mask)


def custom_kernel(data):
    data = data.contiguous()
    out = torch.empty_like(data)
    rows, columns = data.shape
    if out.numel():
        block = triton.next_power_of_2(columns)
        _softmax_kernel[(rows,)](data, out, columns, BLOCK_D=block, num_warps={warps})
    return out
"""

_ONLINE = """\
import torch
import triton
import triton.language as tl


@triton.jit
def _softmax_kernel(x_ptr, y_ptr, D, BLOCK_D: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * D
    largest = float("-inf")
    total = 0.0
    for start in range(0, D, BLOCK_D):
        columns = start + tl.arange(0, BLOCK_D)
        x = tl.load(x_ptr + row + columns, mask=columns < D, other=float("-inf")).to(tl.float32)
        before = largest
        largest = tl.maximum(before, tl.max(x, axis=0))
        total = total * tl.exp(before - largest) + tl.sum(tl.exp(x - largest), axis=0)
    for start in range(0, D, BLOCK_D):
        columns = start + tl.arange(0, BLOCK_D)
        mask = columns < D
        x = tl.load(x_ptr + row + columns, mask=mask, other=float("-inf")).to(tl.float32)
        y = tl.exp(x - largest) / total
        tl.store(y_ptr + row + columns, y.to(y_ptr.dtype.element_ty), mask=mask)


def custom_kernel(data):
    data = data.contiguous()
    out = torch.empty_like(data)
    rows, columns = data.shape
    if out.numel():
        _softmax_kernel[(rows,)](data, out, columns, BLOCK_D=256, num_warps=4)
    return out
"""

_SHIFT = " - tl.max(x, axis=0)"

STEPS = (
    Step(
        title="Separate calls of torch",
        why="The definition in five calls: right first, and something to beat.",
        source=_CALLS,
        if_right="Five calls of torch are right: the start.",
        if_wrong="Not even the definition was accepted: look at the problem first.",
    ),
    Step(
        title="One kernel, one program a row, one warp",
        why="Five calls move the matrix eight times; one kernel moves it twice.",
        source=_KERNEL.format(shift=_SHIFT, warps=1),
        prediction=expected(
            "One kernel halves the time at least",
            "Compulsory traffic is one read and one write of the matrix, a quarter of what the "
            "separate calls move.",
            0.5,
            prior=0.8,
        ),
        if_right="One kernel that holds a row on chip makes one trip: the largest step there is.",
        if_wrong="One warp a row is too little to be faster than torch's own kernels.",
    ),
    Step(
        title="Eight warps a row",
        why="More loads in flight for each row.",
        source=_KERNEL.format(shift=_SHIFT, warps=8),
        prediction=expected(
            "Eight warps save a tenth over one",
            "One warp has few loads in flight and holds the whole row in its registers.",
            0.1,
            prior=0.6,
        ),
        if_right="Give a long row eight warps: loads in flight hide the memory.",
        if_wrong="Rows this short do not feed eight warps.",
    ),
    Step(
        title="Without the largest value",
        why="A reduction less in each program.",
        source=_KERNEL.format(shift="", warps=8),
        prediction=expected(
            "Leaving out the largest value saves a twentieth",
            "The reduction over the row synchronises all its warps; the quotient is the same on "
            "paper.",
            0.05,
            prior=0.4,
        ),
        if_right="The values are small enough for exp: the largest value need not be subtracted.",
        if_wrong="Subtract the row's largest value: exp overflows without it, and the check sees "
        "it.",
    ),
    Step(
        title="Online, in pieces of 256 columns",
        why="Rows of any length, and little held on chip.",
        source=_ONLINE,
        prediction=expected(
            "Pieces save a tenth by letting more rows run at once",
            "A program that holds 256 columns leaves registers to others.",
            0.1,
            prior=0.3,
        ),
        if_right="Smaller pieces let more rows run at once, and that pays.",
        if_wrong="Pieces read the row twice: what fits on chip is better held there.",
    ),
)

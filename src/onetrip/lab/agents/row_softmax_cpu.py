"""Row softmax in plain torch on a CPU: from a loop over rows to one trip to memory."""

from onetrip.lab.agents.ladder import Step, expected

_LOOP = """\
import torch


def custom_kernel(data):
    out = torch.empty_like(data)
    for row in range(data.shape[0]):
        exponentials = torch.exp(data[row] - data[row].max())
        out[row] = exponentials / exponentials.sum()
    return out
"""

_ALL_ROWS = """\
import torch


def custom_kernel(data):
    shifted = data - data.amax(dim=-1, keepdim=True)
    exponentials = torch.exp(shifted)
    return exponentials / exponentials.sum(dim=-1, keepdim=True)
"""

_WITHOUT_LARGEST = """\
import torch


def custom_kernel(data):
    exponentials = torch.exp(data)
    return exponentials / exponentials.sum(dim=-1, keepdim=True)
"""

_ONE_BUFFER = """\
import torch


def custom_kernel(data):
    out = data - data.amax(dim=-1, keepdim=True)
    out.exp_()
    out.div_(out.sum(dim=-1, keepdim=True))
    return out
"""

_ONLINE = """\
import torch

COLUMNS = 64


def custom_kernel(data):
    largest = torch.full_like(data[:, :1], float("-inf"))
    total = torch.zeros_like(largest)
    for piece in data.split(COLUMNS, dim=-1):
        before = largest
        largest = torch.maximum(before, piece.amax(dim=-1, keepdim=True))
        total = total * torch.exp(before - largest)
        total += torch.exp(piece - largest).sum(dim=-1, keepdim=True)
    return torch.exp(data - largest) / total
"""

_ONE_TRIP = """\
import torch


def custom_kernel(data):
    return torch.softmax(data, dim=-1)
"""

STEPS = (
    Step(
        title="A row at a time",
        why="The definition as one would write it down: right first, and something to beat.",
        source=_LOOP,
        if_right="A Python loop over rows is right. It is the start, not a rival.",
        if_wrong="Not even the loop over rows was accepted: look at the problem first.",
    ),
    Step(
        title="All rows at once",
        why="Five small calls a row cost more than their work; five calls for all rows do not.",
        source=_ALL_ROWS,
        prediction=expected(
            "All rows in one call halve the time at least",
            "The loop spends its time in calling torch, not in moving data: the same operations "
            "over all rows make five calls in place of five a row.",
            0.5,
            prior=0.9,
        ),
        if_right="Work on all rows in one call: calls, not bytes, were what the loop paid for.",
        if_wrong="Calling torch for each row was not what cost the time.",
    ),
    Step(
        title="Without the largest value",
        why="The row's largest value is one more pass over the data; leave it out.",
        source=_WITHOUT_LARGEST,
        prediction=expected(
            "Leaving out the largest value saves a tenth",
            "Finding and subtracting the largest value reads the matrix twice and writes it once. "
            "The quotient is the same on paper.",
            0.1,
            prior=0.5,
        ),
        if_right="The values are small enough for exp: the largest value need not be subtracted.",
        if_wrong="Subtract the row's largest value: exp overflows without it, and the check sees "
        "it. Equal on paper is not equal in float32.",
    ),
    Step(
        title="One buffer",
        why="Subtract, exponentiate and divide in the buffer of the result.",
        source=_ONE_BUFFER,
        prediction=expected(
            "Working in one buffer saves a tenth",
            "Each new matrix is memory that must be found, and written for the first time.",
            0.1,
            prior=0.6,
        ),
        if_right="Work in place: a fresh buffer for each operation costs more than the operation.",
        if_wrong="Buffers are handed on warm here: working in place brings less than a tenth.",
    ),
    Step(
        title="Online, in pieces of the row",
        why="The largest value and the sum in one pass, as fast kernels do it.",
        source=_ONLINE,
        prediction=expected(
            "One pass for largest value and sum saves a tenth",
            "An online softmax reads the data once for both. In a kernel, that is a trip saved.",
            0.1,
            prior=0.4,
        ),
        if_right="The online softmax pays even in separate calls.",
        if_wrong="The online softmax does not pay in separate calls: each piece is a trip of its "
        "own through the caller. It is an idea for inside a kernel.",
    ),
    Step(
        title="One trip",
        why="One call that reads each row once and writes it once.",
        source=_ONE_TRIP,
        prediction=expected(
            "One fused call saves a third at least",
            "Compulsory traffic is one read and one write. A fused call keeps a row in cache "
            "between its three passes; separate calls go through memory each time.",
            0.3,
            prior=0.8,
        ),
        if_right="One trip to memory is what is left: fuse, do not trim.",
        if_wrong="The fused call is not faster here: look at threads and sizes.",
    ),
)

"""The codec of a problem's data: what goes in comes out, and nothing else is let in."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onetrip.core.errors import DataError
from onetrip.lab.judge.tree import pack, unpack, write


@dataclass
class Sizes:
    rows: int
    scale: torch.Tensor


class Pair(NamedTuple):
    left: object
    right: object


def travelled(tree, **types):
    packed = pack(tree)
    memory = torch.zeros(packed.total_bytes + 512, dtype=torch.uint8)
    write(packed, memory)
    document = json.loads(json.dumps(packed.document))
    return unpack(document, memory, device="cpu", types=types)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_plain_values_come_back_as_they_were(tree):
    found = travelled(tree)
    assert found == tree
    assert type(found) is type(tree)


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8,
     torch.bool, torch.float8_e4m3fn, torch.complex64],
)  # fmt: skip
def test_every_bit_of_a_tensor_comes_back(dtype):
    tensor = torch.randn(5, 7).mul(3).to(dtype)
    (found,) = travelled([tensor])
    assert found.dtype == dtype
    assert torch.equal(found.view(torch.uint8), tensor.view(torch.uint8))


def test_strides_and_offsets_survive():
    base = torch.arange(60.0).view(6, 10)
    for tensor in (base.T, base[1:, ::2], base[0].expand(4, 10), base[:0], torch.tensor(3.0)):
        (found,) = travelled([tensor])
        assert torch.equal(found, tensor)
        if tensor.numel():
            assert found.stride() == tensor.stride()


def test_nan_and_infinities_are_scalars_too():
    found = travelled({"low": float("-inf"), "odd": float("nan")})
    assert found["low"] == float("-inf")
    assert found["odd"] != found["odd"]


def test_dataclasses_and_named_tuples_come_back_by_name():
    tree = Pair(Sizes(3, torch.ones(2)), {"dtype": torch.bfloat16})
    found = travelled(tree, Pair=Pair, Sizes=Sizes)
    assert type(found) is Pair
    assert type(found.left) is Sizes
    assert torch.equal(found.left.scale, torch.ones(2))
    assert found.right == {"dtype": torch.bfloat16}


def test_an_unknown_name_is_refused():
    with pytest.raises(DataError, match="means nothing here"):
        travelled(Pair(1, 2))


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 1, torch.ones(2).to_sparse()])
def test_what_cannot_travel_is_refused_when_it_is_packed(value):
    with pytest.raises(DataError, match="cannot travel"):
        pack([value])


@pytest.mark.parametrize(
    "change",
    [{"offset": 1 << 40}, {"bytes": 8}, {"strides": [1 << 30]}, {"dtype": "load"}, {"offset": 3}],
)
def test_a_place_outside_of_the_memory_is_refused(change):
    packed = pack([torch.ones(4)])
    packed.document["tensors"][0] |= change
    memory = torch.zeros(4096, dtype=torch.uint8)
    with pytest.raises(DataError):
        unpack(packed.document, memory, device="cpu")


@pytest.mark.parametrize(
    "node", [{"call": "os.system"}, {"tensor": 1}, {"tensor": -1}, {"float": "1"}]
)
def test_a_strange_node_is_refused(node):
    with pytest.raises(DataError):
        unpack({"tree": node, "tensors": [], "bytes": 0}, torch.zeros(0).byte(), device="cpu")


def test_tensors_are_counted_in_the_order_of_the_leaves():
    x, y = torch.ones(1), torch.zeros(2)
    assert [tensor.numel() for tensor in pack({"b": [x], "a": (y,)}).tensors] == [1, 2]

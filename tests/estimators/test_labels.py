"""Labels that come as a tensor: the classes and the places that sorting finds, without sorting."""

import pytest
import torch

from onetrip.estimators.labels import classes_and_codes

INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
# From, to: whole tables, one class, holes, the ends of the table, beyond them, negative ones.
RANGES = [(0, 19), (0, 0), (3, 3), (5, 90), (0, 1023), (1023, 1024), (-1, 5), (-128, 127)]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_classes_are_those_of_sorting(dtype, low, high):
    info = torch.iinfo(dtype)
    if low < info.min or high > info.max:
        pytest.skip(f"{dtype} holds no {low} or no {high}")
    y = torch.randint(low, high + 1, (300,), generator=torch.Generator().manual_seed(0)).to(dtype)
    y[0], y[1] = low, high
    before = y.clone()
    classes, codes = classes_and_codes(y)
    gold_classes, gold_codes = torch.unique(before, return_inverse=True)
    assert classes.dtype == dtype
    assert codes.dtype == torch.int64
    assert torch.equal(classes, gold_classes)
    assert torch.equal(codes, gold_codes)
    assert torch.equal(y, before)


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([-(2**63), 2**63 - 1, 0]),
        torch.tensor([2.0, -1.0, 2.0]),
        torch.tensor([True, False, True]),
        torch.empty(0, dtype=torch.int64),
    ],
    ids=["ends", "floats", "booleans", "none"],
)
def test_what_fits_no_table_is_sorted(labels):
    classes, codes = classes_and_codes(labels)
    assert torch.equal(classes[codes], labels)
    assert classes.tolist() == sorted(set(labels.tolist()))

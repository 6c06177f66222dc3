"""The counts where runs of a class begin and end, and what the contract does not reach."""

import pytest
import torch

import onetrip
from onetrip.core.errors import OnetripError
from onetrip.core.tuning import override
from onetrip.ops.multinomial_nb.predict import joint_log_likelihood, likeliest_class
from onetrip.ops.multinomial_nb.reference import multinomial_nb_reference
from onetrip.tile.problem import is_interpreting

IMPLS = [
    "torch",
    pytest.param(
        "triton",
        marks=pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted"),
    ),
]


def nothing(C, D):
    return torch.zeros(C, D, dtype=torch.float64), torch.zeros(C, dtype=torch.float64)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    "lengths",
    [(0, 0, 5), (16, 16, 16), (17, 1, 31), (0, 64, 0), (33, 0, 15)],
    ids=str,
)
def test_runs_end_where_classes_end(impl, lengths):
    """Classes without samples, of a whole run, of one more than a run."""
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(lengths)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    x = torch.arange(len(y) * 20.0).reshape(len(y), 20)
    config = {"ROWS": 16, "BLOCK_N": 8, "BLOCK_D": 16, "num_warps": 4}
    with override("multinomial_nb", impl, config if impl == "triton" else {"rows": 7}):
        counts, extra = onetrip.multinomial_nb(x, y, *nothing(3, 20), impl=impl)
    gold, expected = multinomial_nb_reference(x.double(), y, *nothing(3, 20))
    assert torch.equal(counts, gold)
    assert torch.equal(extra["class_count"], expected["class_count"])


def test_whole_numbers_stay_exact_where_float32_sums_would_not():
    """Two million times 9: the sum in float32 would stop at 2^24."""
    x = torch.full((2_000_000, 1), 9, dtype=torch.uint8)
    counts, _ = onetrip.multinomial_nb(x, torch.zeros(2_000_000).long(), *nothing(1, 1))
    assert counts.item() == 18_000_000
    x = torch.tensor([[2**53], [1]], dtype=torch.int64)
    counts, _ = onetrip.multinomial_nb(x, torch.tensor([0, 1]), *nothing(2, 1))
    assert counts.flatten().tolist() == [2.0**53, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.float64])
def test_rows_one_by_one_and_by_product_agree(monkeypatch, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 9, (400, 24), generator=generator).to(dtype)
    y = torch.randint(0, 5, (400,), generator=generator)
    weight = torch.rand(400, generator=generator, dtype=torch.float64)
    answers = []
    for small in (0, 1 << 40):
        monkeypatch.setattr("onetrip.ops.multinomial_nb.torch_impl._SMALL", small)
        answers.append(onetrip.multinomial_nb(x, y, *nothing(5, 24), sample_weight=weight)[0])
    torch.testing.assert_close(*answers, rtol=1e-12, atol=0)


def test_likeliest_class_without_a_copy_of_the_samples(monkeypatch):
    monkeypatch.setattr("onetrip.ops.multinomial_nb.predict._BLOCK_BYTES", 1000)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 9, (77, 12), generator=generator, dtype=torch.uint8)
    log_prob = torch.rand(4, 12, generator=generator).double().log()
    log_prior = torch.full((4,), 0.25, dtype=torch.float64).log()
    gold = x.double() @ log_prob.T + log_prior
    assert torch.allclose(joint_log_likelihood(x, log_prob, log_prior), gold, rtol=1e-12)
    labels, share = likeliest_class(x, log_prob, log_prior)
    assert torch.equal(labels, gold.argmax(1))
    assert share < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(3)}, "matrix"),
        ({"x": torch.zeros(3, 2, dtype=torch.bool)}, "real numbers"),
        ({"y": torch.zeros(3)}, "int64 or int32"),
        ({"y": torch.zeros(4).long()}, r"must be \[3\]"),
        ({"y": torch.tensor([0, 1, 2])}, "classes from 0 to 1"),
        ({"y": torch.tensor([0, -1, 1])}, "classes from 0 to 1"),
        ({"feature_count": torch.zeros(2, 2)}, "float64"),
        ({"feature_count": torch.zeros(3, 2).double()}, "feature_count"),
        ({"class_count": torch.zeros(2, 1).double()}, "class_count"),
        ({"sample_weight": torch.zeros(2)}, "sample_weight"),
        ({"sample_weight": torch.zeros(3).long()}, "float32 or float64"),
    ],
)
@pytest.mark.errors
def test_what_is_wrong_is_said(change, message):
    features, classes = nothing(2, 2)
    given = {
        "x": torch.zeros(3, 2),
        "y": torch.zeros(3).long(),
        "feature_count": features,
        "class_count": classes,
    }
    with pytest.raises(OnetripError, match=message):
        onetrip.multinomial_nb(**{**given, **change})


@pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted")
@pytest.mark.parametrize("classes", [5, 40])
@pytest.mark.parametrize("value", [0.0, -1e-30, -3.0, -1e30])
def test_the_kernel_that_adds_samples_sees_their_signs(classes, value):
    from onetrip.ops.multinomial_nb.kernel_one_hot_triton import count
    from onetrip.ops.multinomial_nb.select import _ONE_HOT

    x = torch.rand(70, 33, generator=torch.Generator().manual_seed(0))
    x[45, 20] = value
    y = torch.arange(70) % classes
    negative = torch.zeros(1, dtype=torch.int32)
    features, _ = count(x, y, *nothing(classes, 33), None, _ONE_HOT, negative)
    assert bool(negative.item()) == (value < 0)
    gold, _ = multinomial_nb_reference(x.double(), y, *nothing(classes, 33))
    torch.testing.assert_close(features, gold, rtol=2e-7, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("impl", ["reference", *IMPLS])
def test_sums_of_halves_do_not_end_where_halves_do(impl, dtype):
    """65,504 is float16's largest number; at 256 bfloat16 has no room for another one."""
    x = torch.tensor([[60_000.0, 1.0]]).repeat(300, 1).to(dtype)
    counts, _ = onetrip.multinomial_nb(x, torch.zeros(300).long(), *nothing(1, 2), impl=impl)
    assert counts.tolist() == [[300.0 * x[0, 0].item(), 300.0]]

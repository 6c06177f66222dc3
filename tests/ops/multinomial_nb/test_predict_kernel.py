"""The likeliest class by kernels: float64's decision, whatever the samples."""

import pytest
import torch

from onetrip.ops.multinomial_nb.kernel_predict_triton import (
    likeliest_class_and_doubts,
    relative_error,
)
from onetrip.tile.problem import is_interpreting

pytestmark = pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted")

SMALL = {"block_n": 16, "block_d": 16}


def draw(N, D, C, kind="counts", seed=0):
    generator = torch.Generator().manual_seed(seed)
    rate = 2.0 * torch.rand(C, D, generator=generator) ** 4
    y = torch.randint(0, C, (N,), generator=generator)
    same = kind == "one class"
    x = torch.poisson(rate[y * 0] if same else rate[y], generator=generator)
    if kind == "fractions":
        x *= 0.01 * torch.rand(D, generator=generator)
    counts = torch.ones(C, D).double().index_add_(0, y, x.double())
    log_prior = torch.bincount(y, minlength=C).double().add(1.0).log()
    return x, counts.log() - counts.sum(1, True).log(), log_prior - log_prior.logsumexp(0)


def truth(x, log_prob, log_prior):
    return (x.double() @ log_prob.T + log_prior).argmax(1)


@pytest.mark.parametrize("kind", ["counts", "one class", "fractions"])
@pytest.mark.parametrize("shape", [(61, 70, 5), (33, 48, 150), (5, 3, 31), (1, 1, 2)], ids=str)
def test_decisions_are_those_of_float64(kind, shape):
    given = draw(*shape, kind)
    labels, doubts = likeliest_class_and_doubts(*given, True, **SMALL)
    assert torch.equal(labels, truth(*given))
    assert doubts[0].item() <= max(2, shape[0] // 4)


def test_low_halves_decide_where_high_ones_tie():
    """Weights of 1 and a little, with signs that cancel for one sample in twenty."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (1500, 48), generator=generator).float()
    sign = torch.where(torch.arange(48) % 2 == 0, 1.0, -1.0).double()
    weight = sign * (1 + torch.rand(48, generator=generator, dtype=torch.float64) / 2**11)
    log_prob = -5.0 + torch.stack([weight, -weight]) / 2
    given = x, log_prob, torch.full((2,), 0.5).double().log()
    labels, seen = likeliest_class_and_doubts(*given, True, block_n=64, block_d=16)
    assert torch.equal(labels, truth(*given))
    tied = (x.double() @ sign == 0).sum()
    assert tied > 50
    assert seen[0] < tied // 2


def test_equal_classes_are_all_in_doubt_and_the_first_one_wins():
    x, log_prob, log_prior = draw(10, 8, 130)
    log_prob[:], log_prior[:] = log_prob[3], log_prior[3]
    labels, doubts = likeliest_class_and_doubts(x, log_prob, log_prior, True, **SMALL)
    assert doubts[0].item() == 10
    assert not labels.any()


def test_the_bound_covers_negative_numbers():
    """Sums whose terms cancel: the error is that of the terms, and not of the sum."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 40, (200, 64), generator=generator).float()
    x[:, 1::2] = -x[:, ::2]  # a class' even logarithms differ little from its odd ones
    log_prob = -5.0 + torch.rand(3, 32, generator=generator, dtype=torch.float64)
    log_prob = log_prob.repeat_interleave(2, 1)
    log_prob[:, 1::2] += 1e-7 * torch.rand(3, 32, generator=generator, dtype=torch.float64)
    given = x, log_prob, torch.zeros(3).double()
    labels, doubts = likeliest_class_and_doubts(*given, True, **SMALL)
    assert torch.equal(labels, truth(*given))
    assert doubts[0].item() > 100


@pytest.mark.parametrize("value", [1e5, 65520.0])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_numbers_that_the_bound_does_not_cover_are_in_doubt(value):
    x, log_prob, log_prior = draw(40, 30, 4)
    x[7, 11] = value
    labels, doubts = likeliest_class_and_doubts(x, log_prob, log_prior, True, **SMALL)
    assert torch.equal(labels, truth(x, log_prob, log_prior))
    assert doubts[0].item() >= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.int16])
def test_dtypes_and_strides(dtype):
    x, log_prob, log_prior = draw(40, 30, 4)
    x = x.to(dtype)
    wide = torch.zeros(60, 80, dtype=dtype).T[::2]
    wide[:, ::2].copy_(x)
    for samples in (x, wide[:, ::2]):
        labels, _ = likeliest_class_and_doubts(samples, log_prob, log_prior, True, **SMALL)
        assert torch.equal(labels, truth(x, log_prob, log_prior))


@pytest.mark.parametrize("kind", ["counts", "one class", "fractions"])
def test_scores_stay_within_their_bound(kind):
    """Centred scores of halves, as the kernel takes them, against float64."""
    x, log_prob, _ = draw(50, 300, 6, kind)
    centred = log_prob - log_prob.mean(0)
    halves = [
        (v.half().double(), (v - v.half()).mul(2048.0).half().double() / 2048.0)
        for v in (x.double(), centred)
    ]
    (x_high, x_low), (w_high, w_low) = halves
    scores = x_high @ w_high.T + x_low @ w_high.T + x_high @ w_low.T
    moduli = x.double() @ centred.abs().amax(0)
    error = (scores - x.double() @ centred.T).abs().amax(1)
    allowed = relative_error(300, 16) * moduli + 2.0**-34 * centred.abs().amax(0).sum()
    assert (error <= allowed).all()
    assert (error > 1e-5 * allowed).any()

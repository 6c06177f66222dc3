"""The counts of multinomial naive Bayes on a device: exact, repeatable, within their memory."""

import pytest
import torch

import onetrip
from onetrip.naive_bayes import MultinomialNB
from onetrip.testing.memory import peak_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def words(N, D, C):
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randint(0, 40, (N, D), generator=generator, device="cuda").float()
    return x, torch.randint(0, C, (N,), generator=generator, device="cuda")


def nothing(C, D):
    counts = torch.zeros(C, D, dtype=torch.float64, device="cuda")
    return counts, torch.zeros(C, dtype=torch.float64, device="cuda")


@pytest.mark.parametrize("classes", [2, 20, 40, 1000])
def test_counts_are_exact_and_repeat(classes):
    x, y = words(50_000, 1000, classes)
    first, _ = onetrip.multinomial_nb(x, y, *nothing(classes, 1000), impl="triton")
    again, _ = onetrip.multinomial_nb(x, y, *nothing(classes, 1000), impl="triton")
    gold = nothing(classes, 1000)[0].cpu().index_add_(0, y.cpu(), x.cpu().double())
    assert torch.equal(first.cpu(), gold)
    assert torch.equal(first, again)


def test_fit_stays_within_sixty_four_mebibytes():
    x, y = words(200_000, 5000, 20)
    counts = nothing(20, 5000)
    onetrip.multinomial_nb(x[:1000], y[:1000], *counts)
    with peak_memory(x.device) as memory:
        onetrip.multinomial_nb(x, y, *counts)
    assert memory.peak_bytes <= 64 << 20


def test_estimator_answers_as_on_a_cpu():
    x, y = words(3000, 200, 7)
    here, there = MultinomialNB().fit(x, y), MultinomialNB().fit(x.cpu(), y.cpu())
    assert torch.equal(here.predict(x).cpu(), there.predict(x.cpu()))
    torch.testing.assert_close(here.feature_log_prob_.cpu(), there.feature_log_prob_)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((20_000, 5000, 20), "drawn"), ((20_000, 1000, 20), "alike"), ((5000, 801, 300), "alike")],
)
def test_decisions_are_those_of_float64(shape, kind):
    N, D, C = shape
    x, y = words(N, D, C)
    if kind == "drawn":
        x *= torch.arange(D, device="cuda") % C == y[:, None]
    model = MultinomialNB().fit(x, y)
    with peak_memory(x.device) as memory:
        found = model.predict(x)
    scores = x.double() @ model.feature_log_prob_.T + model.class_log_prior_
    # A class of the highest score, where float64's sums in another order may tell ties apart.
    chosen = scores.gather(1, found[:, None])[:, 0]
    assert (chosen >= scores.amax(1) - 1e-12 * scores.abs().amax(1)).all()
    assert model.reevaluated_share(x) < 0.2
    assert memory.peak_bytes <= 64 << 20
    assert torch.equal(found, model.predict(x))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_samples_that_are_no_counts_are_refused(value):
    x, y = words(3000, 200, 7)
    model = MultinomialNB().fit(x, y)
    x[1234, 56] = value
    with pytest.raises(ValueError, match="X"):
        MultinomialNB().fit(x, y)
    if value != -1.0:
        with pytest.raises(ValueError, match="NaN or infinity"):
            model.predict(x)

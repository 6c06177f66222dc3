"""Edges: nothing to count, one class, empty axes, tiny losses, targets that are no class."""

import contextlib
import functools

import pytest
import torch
from three_paths import PATHS, assert_like, draw, evaluate, on_path
from torch.nn import functional

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.ops.linear_cross_entropy.reference import linear_cross_entropy_reference

paths = pytest.mark.parametrize("path", PATHS)


@paths
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"z_loss": 0.1}], ids=["plain", "smooth", "z"]
)
def test_all_targets_ignored(path, reduction, options):
    tensors = draw(9, 8, 70)
    tensors["target"] = torch.full((9,), -100)
    result = evaluate(on_path(path, reduction=reduction, **options), tensors)
    logits = torch.zeros(9, 70)
    expected = functional.cross_entropy(logits, tensors["target"], reduction=reduction)
    assert torch.equal(result.outputs["loss"].isnan(), expected.isnan())
    assert result.outputs["loss"].nan_to_num(0.0).eq(0).all()
    for name, gradient in result.gradients.items():
        assert gradient is not None
        assert gradient.eq(0).all(), name


@paths
def test_mean_over_no_weight_is_nan_as_in_torch(path):
    tensors = draw(5, 8, 70)
    tensors["target"] = torch.full((5,), 3)
    weight = torch.ones(70)
    weight[3] = 0.0
    loss, _ = on_path(path, weight=weight)(**tensors)
    assert loss.isnan()
    loss, _ = on_path(path, weight=weight, reduction="sum")(**tensors)
    assert loss == 0


@paths
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.3}], ids=["plain", "smooth"])
def test_one_class_has_no_loss(path, options):
    tensors = draw(6, 8, 1)
    result = evaluate(on_path(path, aux=("lse", "entropy", "argmax"), **options), tensors)
    z = tensors["input"] @ tensors["linear_weight"].T + tensors["linear_bias"]
    torch.testing.assert_close(result.outputs["lse"], z[:, 0])
    for name in ("loss", "entropy", "argmax"):
        torch.testing.assert_close(
            result.outputs[name].double(), torch.zeros_like(result.outputs[name]).double(),
            rtol=0, atol=1e-6,
        )  # fmt: skip


@paths
def test_one_class_has_no_gradient(path):
    result = evaluate(on_path(path), draw(6, 8, 1))
    for gradient in result.gradients.values():
        assert gradient is not None
        assert gradient.eq(0).all()


@paths
@pytest.mark.parametrize(("reduction", "loss"), [("sum", 0.0), ("mean", float("nan"))])
def test_no_tokens(path, reduction, loss):
    tensors = draw(0, 8, 70)
    result = evaluate(on_path(path, reduction=reduction), tensors)
    torch.testing.assert_close(result.outputs["loss"], torch.tensor(loss), equal_nan=True)
    assert all(
        gradient is None or gradient.shape == tensors[name].shape
        for name, gradient in result.gradients.items()
    )


@paths
def test_no_tokens_without_reduction(path):
    tensors = draw(0, 8, 70)
    tensors["input"], tensors["target"] = torch.zeros(2, 0, 8), torch.zeros(2, 0, dtype=torch.int64)
    loss, values = on_path(path, reduction="none", aux=("entropy", "argmax"))(**tensors)
    assert loss.shape == values["entropy"].shape == values["argmax"].shape == (2, 0)


@paths
def test_no_features(path):
    tensors = draw(5, 0, 70)
    result = evaluate(on_path(path), tensors)
    logits = tensors["linear_bias"].expand(5, 70)
    torch.testing.assert_close(
        result.outputs["loss"], functional.cross_entropy(logits, tensors["target"])
    )


@paths
@pytest.mark.parametrize("gap", [5.0, 12.0, 20.723266, 60.0], ids=str)
def test_small_loss_keeps_its_digits(path, gap):
    """A token of probability 1 - 1e-9 loses 1e-9: its lse and its logit are one float32 number."""
    hidden = torch.tensor([[4.0, 1.0]], requires_grad=True)
    head = torch.tensor([[gap / 4, 0.0], [0.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    call = on_path(path, reduction="sum")
    loss, _ = call(input=hidden, linear_weight=head, target=torch.tensor([0]))
    loss.backward(torch.tensor(3.0))

    wide_hidden = hidden.detach().double().requires_grad_()
    wide_head = head.detach().double().requires_grad_()
    z = (wide_hidden @ wide_head.T)[0]
    # lse - z[0], without the cancellation that float64 would suffer too.
    truth = (z[1:] - z[0]).exp().sum().log1p()
    truth.backward(torch.tensor(3.0).double())

    def assert_close(actual, expected):
        torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=0)

    assert_close(loss, truth)
    assert_close(hidden.grad, wide_hidden.grad)
    assert_close(head.grad, wide_head.grad)


@paths
@pytest.mark.parametrize("bad", [70, 1000, -1, -99], ids=str)
def test_target_out_of_range_raises_with_the_count(path, bad):
    tensors = draw(9, 8, 70)
    tensors["target"][[1, 4]] = bad
    with pytest.raises(ArgumentError, match=r"\[0, 70\) or the ignore index, got 2 target"):
        on_path(path)(**tensors)


@paths
def test_ignore_index_may_be_any_number(path):
    tensors = draw(9, 8, 70)
    first, _ = on_path(path)(**tensors)
    for index in (70, -1, 2**31 - 1):
        tensors["target"] = torch.where(
            (tensors["target"] < 0) | (tensors["target"] >= 70), index, tensors["target"]
        )
        loss, _ = on_path(path, ignore_index=index)(**tensors)
        torch.testing.assert_close(loss, first, rtol=0, atol=0)


@pytest.mark.errors
def test_unknown_mode_of_target_checks():
    expected = r"`mode` must be one of \['deferred', 'immediate', 'off'\], got 'never'"
    with pytest.raises(ArgumentError, match=expected), onetrip.target_checks("never"):
        pass


def test_modes_of_target_checks_nest_and_are_restored():
    from onetrip.ops.linear_cross_entropy import target_check

    with onetrip.target_checks("off"):
        with contextlib.suppress(KeyError), onetrip.target_checks("immediate"):
            assert target_check._mode == "immediate"
            raise KeyError
        assert target_check._mode == "off"
    assert target_check._mode == "deferred"


@paths
def test_cpu_raises_whatever_the_mode(path):
    tensors = draw(9, 8, 70)
    tensors["target"][1] = 70
    with onetrip.target_checks("off"), pytest.raises(ArgumentError, match="got 1 target"):
        on_path(path)(**tensors)


REFUSED = {
    "reduction": ({"reduction": "avg"}, ArgumentError, "`reduction` must be one of"),
    "impl": ({"impl": "cuda"}, ArgumentError, "`impl` must be one of"),
    "smoothing": ({"label_smoothing": 1.5}, ArgumentError, r"number in \[0, 1\], got 1.5"),
    "softcap": ({"softcap": 0.0}, ArgumentError, "`softcap` must be a positive number"),
    "z_loss": ({"z_loss": -1.0}, ArgumentError, "`z_loss` must be a number >= 0"),
    "aux": ({"aux": ("logits",)}, ArgumentError, "`aux` must be a sequence of names"),
    "budget": ({"memory_budget": 0}, ArgumentError, "`memory_budget` must be a positive number"),
    "features": ({"input": torch.ones(9, 7)}, ShapeError, "must share D"),
    "no-classes": ({"linear_weight": torch.ones(0, 8)}, ShapeError, "at least one class"),
    "target": ({"target": torch.zeros(8, dtype=torch.int64)}, ShapeError, "`target` must be of"),
    "soft-target": ({"target": torch.zeros(9)}, DtypeError, "Soft targets are not supported"),
    "weight-dtype": ({"linear_weight": torch.ones(70, 8).half()}, DtypeError, "like `input`"),
    "float64": ({"input": torch.ones(9, 8).double()}, DtypeError, "takes float64"),
    "bias": ({"linear_bias": torch.ones(71)}, ShapeError, r"`linear_bias` must be of shape \[70\]"),
    "class-weight": ({"weight": torch.ones(69)}, ShapeError, r"`weight` must be of shape \[70\]"),
    "integer-weight": ({"weight": torch.ones(70).int()}, DtypeError, "a floating dtype"),
    "token-weight": ({"token_weight": torch.ones(8)}, ShapeError, "`token_weight` must be of"),
    "gluon": ({"impl": "gluon"}, UnsupportedError, 'only Hopper .* Use impl="auto"'),
}


@pytest.mark.errors
@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_argument_named(case):
    change, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        onetrip.linear_cross_entropy(**{**draw(9, 8, 70), **change})


OFFSET_OPTIONS = {
    "plain": {},
    "z-loss": {"z_loss": 1e-6},
    "smoothing": {"label_smoothing": 0.1},
    "entropy": {"aux": ("entropy",)},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", OFFSET_OPTIONS)
def test_a_common_offset_costs_no_more_digits_than_plain_torch_loses(path, name):
    """A log-sum-exp of 300 is rounded by 1.5e-5, which must be no error of a probability."""
    tensors = draw(seed=3)
    tensors["linear_bias"] = torch.full_like(tensors["linear_bias"], 300.0)
    options = OFFSET_OPTIONS[name]
    actual = evaluate(on_path(path, **options), tensors)
    truth = functools.partial(linear_cross_entropy_reference, **options)
    assert_like(actual, truth, tensors, widen=0.5)

"""Edges: nothing to count, one class, empty axes, tiny losses, targets that are no class."""

import pytest
import torch
from three_paths import PATHS, draw, evaluate, on_path
from torch.nn import functional

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError

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
    margin = torch.tensor(gap, dtype=torch.float64)
    hidden = torch.tensor([[4.0, 1.0]])
    head = torch.tensor([[float(margin) / 4, 0.0], [0.0, 0.0], [-30.0, 0.0]])
    result = evaluate(
        on_path(path, reduction="sum"),
        {"input": hidden, "linear_weight": head, "target": torch.tensor([0])},
        ["input", "linear_weight"],
    )
    wide = hidden.double().requires_grad_(), head.double().requires_grad_()
    z = wide[0] @ wide[1].T
    # log1p of the others' share: what float64 itself would round away, too.
    truth = torch.log1p((z[0, 1:] - z[0, 0]).exp().sum())
    truth.backward(torch.tensor(1.0, dtype=torch.float64))
    scale = evaluate(on_path(path, reduction="sum"), {
        "input": hidden, "linear_weight": head, "target": torch.tensor([0]),
    }, []).outputs["loss"]  # fmt: skip
    torch.testing.assert_close(result.outputs["loss"].double(), truth.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(scale, result.outputs["loss"], rtol=0, atol=0)
    incoming = result.gradients["input"], result.gradients["linear_weight"]
    for actual, leaf in zip(incoming, wide, strict=True):
        assert actual is not None
        assert leaf.grad is not None
        factor = actual.double().flatten()[0] / leaf.grad.flatten()[0]
        # `evaluate` draws an incoming gradient in eighths.
        assert abs(float(factor) * 8 - round(float(factor) * 8)) < 1e-3
        torch.testing.assert_close(
            actual.double(), leaf.grad * round(float(factor) * 8) / 8, rtol=1e-4, atol=1e-30
        )


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
        with pytest.raises(KeyError), onetrip.target_checks("immediate"):
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

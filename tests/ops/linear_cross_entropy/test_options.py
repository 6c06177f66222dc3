"""What torch does not have: soft cap, scale, z-loss, token weights, values beside the loss."""

import pytest
import torch
from three_paths import PATHS, assert_like, draw, evaluate, on_path

pytestmark = pytest.mark.parametrize("path", PATHS)

CLASS_WEIGHT = torch.rand(150, generator=torch.Generator().manual_seed(5)) + 0.25


def written_out(
    *,
    softcap=None,
    logit_scale=1.0,
    z_loss=0.0,
    label_smoothing=0.0,
    weight=None,
    reduction="mean",
    aux=(),
):
    """The loss by its formulas, from probabilities, apart from the project's own reference."""

    def truth(input, linear_weight, target, linear_bias=None, token_weight=None):
        z = logit_scale * (input @ linear_weight.T)
        if linear_bias is not None:
            z = z + logit_scale * linear_bias
        if softcap is not None:
            z = softcap * (z / softcap).tanh()
        counts = (target >= 0).to(z.dtype)
        onehot = torch.nn.functional.one_hot(target.clamp(min=0), z.shape[1]).to(z.dtype)
        top = z.max(1, keepdim=True).values.detach()
        lse = (z - top).exp().sum(1).log() + top[:, 0]
        log_p = z - lse[:, None]
        classes = torch.ones_like(z[0]) if weight is None else weight.to(z.dtype)
        goal = (1 - label_smoothing) * onehot + label_smoothing / z.shape[1]
        rows = counts * (z_loss * lse**2 - (goal * classes * log_p).sum(1))
        share = counts * (onehot @ classes)
        if token_weight is not None:
            rows, share = rows * token_weight, share * token_weight
        loss = {"none": rows, "sum": rows.sum(), "mean": rows.sum() / share.sum()}[reduction]
        values = {
            "logprob": counts * (onehot * log_p).sum(1),
            "lse": lse,
            "entropy": -(log_p.exp() * log_p).sum(1),
            "argmax": z.argmax(1),
        }
        return loss, {name: values[name] for name in aux}

    return truth


OPTIONS = {
    "softcap": {"softcap": 2.0},
    "logit-scale": {"logit_scale": 2.5},
    "negative-scale": {"logit_scale": -0.5},
    "scale-before-cap": {"logit_scale": 3.0, "softcap": 1.5},
    "z-loss": {"z_loss": 0.2},
    "z-loss-sum": {"z_loss": 0.2, "reduction": "sum"},
    "smoothing-under-cap": {"softcap": 2.0, "label_smoothing": 0.2, "weight": CLASS_WEIGHT},
    "everything": {
        "softcap": 4.0,
        "logit_scale": 1.5,
        "z_loss": 0.1,
        "label_smoothing": 0.1,
        "weight": CLASS_WEIGHT,
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_option_follows_its_formula(path, name):
    tensors = draw()
    options = OPTIONS[name]
    assert_like(evaluate(on_path(path, **options), tensors), written_out(**options), tensors)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("frozen", [False, True], ids=["differentiated", "frozen"])
def test_token_weight_weighs_loss_and_mean(path, reduction, frozen):
    tensors = draw()
    generator = torch.Generator().manual_seed(3)
    tensors["token_weight"] = torch.rand(37, generator=generator) + 0.5
    tensors["token_weight"][2] = 0.0
    options = {"reduction": reduction, "weight": CLASS_WEIGHT}
    wrt = ["input", "linear_weight", "linear_bias"] + ["token_weight"] * (not frozen)
    actual = evaluate(on_path(path, **options), tensors, wrt)
    assert_like(actual, written_out(**options), tensors, wrt)


@pytest.mark.parametrize("name", ["logprob", "lse", "entropy"])
@pytest.mark.parametrize("softcap", [None, 2.0], ids=["no-cap", "cap"])
def test_value_and_its_gradient(path, name, softcap):
    tensors = draw()
    options = {"aux": (name,), "softcap": softcap, "reduction": "sum"}
    assert_like(evaluate(on_path(path, **options), tensors), written_out(**options), tensors)


def test_all_values_at_once_in_the_order_asked(path):
    tensors = draw()
    options = {"aux": ("entropy", "argmax", "logprob", "lse"), "z_loss": 0.1}
    actual = evaluate(on_path(path, **options), tensors)
    assert list(actual.outputs) == ["loss", "entropy", "argmax", "logprob", "lse"]
    assert_like(actual, written_out(**options), tensors)


def test_values_of_ignored_tokens(path):
    tensors = draw()
    _, values = on_path(path, aux=("logprob", "lse", "entropy", "argmax"))(**tensors)
    z = tensors["input"] @ tensors["linear_weight"].T + tensors["linear_bias"]
    ignored = tensors["target"] == -100
    assert values["logprob"][ignored].eq(0).all()
    torch.testing.assert_close(values["lse"][ignored], z.logsumexp(1)[ignored])
    assert values["argmax"][ignored].equal(z.argmax(1)[ignored])


# In one tile, in two tiles of one group, in two groups.
@pytest.mark.parametrize("columns", [(3, 5), (3, 70), (130, 200), (64, 128), (0, 299)], ids=str)
def test_argmax_of_equals_is_the_smallest_index(path, columns):
    tensors = draw(5, 8, 300, bias=False)
    # Equal rows of the head have equal logits; larger than all others by far.
    tensors["input"] = torch.ones(5, 8)
    tensors["linear_weight"][list(columns)] = 4.0
    _, values = on_path(path, aux=("argmax",))(**tensors)
    assert values["argmax"].tolist() == [min(columns)] * 5


def test_value_that_is_not_differentiable_says_so(path):
    tensors = draw()
    tensors["input"].requires_grad_()
    _, values = on_path(path, aux=("argmax", "lse"))(**tensors)
    assert not values["argmax"].requires_grad
    assert values["lse"].requires_grad

"""The definition of multinomial naive Bayes' counts in plain torch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def multinomial_nb_reference(
    x: Tensor,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    *,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the sums as everybody does: one product with the classes, one-hot.

    With x in float64 this is the truth; in float32 it is what plain torch users have. Halves are
    widened to that: the sums of a thousand of them overflow float16, or lose their digits.
    """
    kept = x if x.is_floating_point() else x.double()
    kept = kept.float() if kept.itemsize < 4 else kept
    one_hot = torch.nn.functional.one_hot(y.long(), class_count.numel()).to(kept.dtype)  # [N, C]
    if sample_weight is not None:
        one_hot = one_hot * sample_weight[:, None].to(kept.dtype)
    sums = one_hot.T @ kept  # [C, D]
    return feature_count + sums, {"class_count": class_count + one_hot.double().sum(0)}


def make_inputs(
    axes: Mapping[str, int],
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    seed: int = 0,
    data: str = "random",
    optional_inputs: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Draw counts like those of words: few, most of them 0, or term weights of the same shape.

    `data` "random" draws counts, "weights" draws tf-idf-like fractions; classes are uneven.
    """
    N, D, C = axes["N"], axes["D"], axes["C"]
    generator = torch.Generator(device).manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    rate = 2.0 * uniform(max(C, 1), D) ** 4  # a few words are frequent in each class
    y = (C * uniform(N) ** 1.5).long().clamp_(max=max(C - 1, 0))
    x = torch.poisson(rate[y], generator=generator)
    if data == "weights":
        x = x * (0.1 + uniform(D))
    inputs = {
        "x": x.to(dtype),
        "y": y,
        "feature_count": torch.floor(9 * uniform(C, D)).double(),
        "class_count": torch.floor(9 * uniform(C)).double(),
    }
    if "sample_weight" in optional_inputs:
        inputs["sample_weight"] = 0.5 + uniform(N)
    return inputs

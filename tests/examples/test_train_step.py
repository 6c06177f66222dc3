"""The example's claim: the same losses, without the logits."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_step.py"


def test_swapped_loss_trains_alike_and_stores_less():
    example = runpy.run_path(str(EXAMPLE))
    losses, peak_bytes = example["train"](swapped=True, steps=3)
    plain_losses, plain_bytes = example["train"](swapped=False, steps=3)
    assert losses == pytest.approx(plain_losses, rel=1e-5)
    assert losses[2] < losses[0]
    logits_bytes = 4 * example["BATCH"] * example["TOKENS"] * example["VOCABULARY"]
    # Plain torch holds the logits, their log-softmax and a gradient.
    assert plain_bytes - peak_bytes > 2 * logits_bytes


def test_example_is_short():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 60

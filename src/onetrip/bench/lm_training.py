"""Train a `CausalLm` on a stream of tokens within a budget of seconds and of epochs."""

import functools
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from onetrip.bench.causal_lm import CausalLm
from onetrip.bench.stdlib_corpus import Progress, silent
from onetrip.core.errors import DataError

_WARMUP_SHARE = 0.05
_FINAL_RATE = 0.02
_WEIGHT_DECAY = 0.1
_LARGEST_GRADIENT_NORM = 1.0
_CURVE_POINTS = 6
_REPORTS = 50
_TOKENS_PER_EVALUATION = 4096
_CURVE_TOKENS = 4096
_FINAL_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class Point:
    """The state of a training at one moment; losses in nats a token, on few held-out windows."""

    seconds: float
    steps: int
    tokens: int
    train_loss_nats: float
    heldout_loss_nats: float


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training went; `heldout_loss_nats` is measured once, at the end, on more windows."""

    seconds: float
    tokens: int
    epochs: float
    heldout_loss_nats: float
    precision: str
    device: str
    curve: tuple[Point, ...]


def train_lm(
    model: CausalLm,
    train: Tensor,
    heldout: Tensor,
    *,
    context: int,
    batch: int,
    seconds: float,
    epochs: float,
    learning_rate: float,
    progress: Progress = silent,
) -> Trained:
    """Train `model` in place with AdamW, warm-up and a cosine, on random windows of `train`.

    The schedule runs on whichever budget is further spent, so the learning rate has always
    reached its end when the training stops. Nothing waits for the device between two reports.
    """
    device = model.embedding.weight.device
    if min(len(train), len(heldout)) <= context + 1:
        raise DataError(
            f"The corpus has {len(train)} training and {len(heldout)} held-out tokens, fewer than "
            f"one window of {context + 1}. Pass a shorter `context` or a `root` with more sources."
        )
    train, heldout = train.to(device), heldout.to(device)
    bf16 = _bf16_pays(device)
    optimizer = _optimizer(model, learning_rate)
    offsets = torch.arange(context + 1, device=device)
    n_steps = max(1, math.ceil(epochs * len(train) / (batch * context)))
    step, curve, next_report, done, begin = 0, [], 0.0, 0.0, time.monotonic()
    while done < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _rate(done)
        start = torch.randint(0, len(train) - context, (batch, 1), device=device)
        window = train[start + offsets].long()  # [B, T + 1]
        loss = _loss(model.train(), window, bf16)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        done = min(1.0, max(step / n_steps, (time.monotonic() - begin) / seconds))
        if done >= next_report:
            next_report = done + 1 / _REPORTS
            progress(f"training, loss {loss.item():.3f}", done)
        if done >= (len(curve) + 1) / _CURVE_POINTS:
            curve.append(
                Point(
                    seconds=round(time.monotonic() - begin, 3),
                    steps=step,
                    tokens=step * batch * context,
                    train_loss_nats=loss.item(),
                    heldout_loss_nats=_heldout_loss(model, heldout, context, _CURVE_TOKENS, bf16),
                )
            )
    return Trained(
        seconds=round(time.monotonic() - begin, 3),
        tokens=step * batch * context,
        epochs=step * batch * context / len(train),
        heldout_loss_nats=_heldout_loss(model, heldout, context, _FINAL_TOKENS, bf16),
        precision="bfloat16" if bf16 else "float32",
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        curve=tuple(curve),
    )


def _optimizer(model: CausalLm, learning_rate: float) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    scales = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": _WEIGHT_DECAY},
        {"params": scales, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def _rate(done: float) -> float:
    """Share of the peak learning rate when `done` of the budget is spent."""
    if done < _WARMUP_SHARE:
        return (done + 0.002) / (_WARMUP_SHARE + 0.002)
    fall = (done - _WARMUP_SHARE) / (1 - _WARMUP_SHARE)
    return _FINAL_RATE + (1 - _FINAL_RATE) * (1 + math.cos(math.pi * fall)) / 2


def _loss(model: CausalLm, window: Tensor, bf16: bool) -> Tensor:
    with torch.autocast(window.device.type, torch.bfloat16, enabled=bf16):
        logits = model.head(model(window[:, :-1]))  # [B, T, V]
    return F.cross_entropy(logits.flatten(0, 1).float(), window[:, 1:].flatten())


@torch.no_grad()
def _heldout_loss(
    model: CausalLm, heldout: Tensor, context: int, n_tokens: int, bf16: bool
) -> float:
    model.eval()
    n_windows = max(1, min(n_tokens, len(heldout) - 1) // context)
    spread = torch.linspace(0, len(heldout) - context - 1, n_windows, device=heldout.device)
    start = spread.long()[:, None]
    windows = heldout[start + torch.arange(context + 1, device=heldout.device)].long()
    parts = windows.split(max(1, _TOKENS_PER_EVALUATION // context))
    total = sum(_loss(model, part, bf16) * len(part) for part in parts)
    return float(total) / n_windows


@functools.cache
def _bf16_pays(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 faster than float32; a CPU is asked by trying."""
    if device.type == "cuda":
        return True
    best_seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.ones(512, 512, dtype=dtype)
        laps = []
        for _ in range(5):
            begin = time.perf_counter()
            torch.mm(x, x)
            laps.append(time.perf_counter() - begin)
        best_seconds[dtype] = min(laps)
    return best_seconds[torch.bfloat16] < 0.7 * best_seconds[torch.float32]

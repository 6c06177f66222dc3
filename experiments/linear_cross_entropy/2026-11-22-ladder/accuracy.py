"""Errors of the loss and its gradients on i.i.d., peaked and really trained logits.

Truth is float64 on the same bfloat16 inputs. Usage, with a folder that
``python -m onetrip.bench.stdlib_lm --preset device --out FOLDER`` made:

    PYTHONPATH=src python experiments/linear_cross_entropy/2026-11-22-ladder/accuracy.py FOLDER OUT
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import onetrip
from onetrip.bench.environment import environment
from onetrip.ops.linear_cross_entropy.reference import make_inputs

MIB = 2**20


def truth(x, w, t):
    """Loss and gradients in float64, a thousand rows at a time."""
    wide = w.double()
    loss, dw = 0.0, torch.zeros_like(wide)
    dx = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    count = (t >= 0).sum().item()
    for i in range(0, x.shape[0], 1024):
        leaf = x[i : i + 1024].double().requires_grad_()
        head = wide.detach().requires_grad_()
        part = F.cross_entropy(leaf @ head.T, t[i : i + 1024], reduction="sum") / count
        part.backward()
        loss += part.item()
        dx[i : i + 1024] = leaf.grad
        dw += head.grad
    return loss, dx, dw


def main():
    """Print a line for every kind of logits and every contender, and write them."""
    problem = load_file(Path(sys.argv[1]) / "problem.safetensors")
    cases = {"trained": tuple(problem[name].cuda() for name in ("hidden", "head", "target"))}
    for data in ("random", "peaked"):
        axes = {"N": 8192, "D": 768, "V": 32768}
        i = make_inputs(axes, dtype=torch.bfloat16, device="cuda", data=data)
        cases[data] = (i["input"], i["linear_weight"], i["target"])
    rows = []
    for data, (x, w, t) in cases.items():
        x, w = x.bfloat16().requires_grad_(), w.bfloat16().requires_grad_()
        loss, dx, dw = truth(x.detach(), w.detach(), t)
        contenders = {
            "eager": lambda x=x, w=w, t=t: F.cross_entropy((x @ w.T).float(), t),
            "onetrip-256MiB": lambda x=x, w=w, t=t: onetrip.linear_cross_entropy(x, w, t),
            "onetrip-2GiB": lambda x=x, w=w, t=t: onetrip.linear_cross_entropy(
                x, w, t, memory_budget=2048 * MIB
            ),
            "onetrip-32MiB": lambda x=x, w=w, t=t: onetrip.linear_cross_entropy(
                x, w, t, memory_budget=32 * MIB
            ),
        }
        for name, call in contenders.items():
            x.grad = w.grad = None
            value = call()
            value.backward()
            row = {
                "data": data,
                "contender": name,
                "axes": {"N": x.shape[0], "D": x.shape[1], "V": w.shape[0]},
                "loss": loss,
                "loss_relative_error": abs(value.item() / loss - 1),
                "dinput_relative_error": ((x.grad.double() - dx).norm() / dx.norm()).item(),
                "dweight_relative_error": ((w.grad.double() - dw).norm() / dw.norm()).item(),
            }
            print(json.dumps(row), flush=True)
            rows.append(row | {"environment": environment(torch.device("cuda"))})
    text = "\n".join(json.dumps(row) for row in rows)
    Path(sys.argv[2]).write_text(text + "\n", encoding="utf-8")


main()

"""Time the building blocks of linear cross entropy on one Hopper GPU, each checked first.

Runs at revision 12c43be, whose kernels it launches; its numbers are in ladder-h100.json.

Usage: PYTHONPATH=src python experiments/linear_cross_entropy/2026-11-22-ladder/ladder.py
"""

import json
import os
import sys

import torch
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

import onetrip.ops.linear_cross_entropy.kernel_gluon as k

torch.backends.cuda.matmul.allow_tf32 = False
BF16 = torch.bfloat16
SHAPES = {
    "gpt2": (8192, 768, 50257),
    "gemma": (8192, 2304, 256000),
    "llama": (8192, 4096, 128256),
}
rows = []


def timed(fn, n=12, warm=3):
    for _ in range(warm):
        fn()
    out = []
    for _ in range(n):
        FLUSH.zero_()
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        fn()
        b.record()
        b.synchronize()
        out.append(a.elapsed_time(b))
    out.sort()
    return out[len(out) // 2]


def say(shape, what, ms, floor=None, note=""):
    rows.append({"shape": shape, "what": what, "ms": ms, "note": note})
    share = f"{floor / ms:6.3f} of cuBLAS" if floor else ""
    print(f"{shape:6} {what:46} {ms:9.3f} ms {share} {note}", flush=True)


def desc(tensor, block):
    layout = gl.NVMMASharedLayout.get_default_for(block, gl.bfloat16)
    return TensorDescriptor.from_tensor(tensor, block, layout)


def stats(x, w, target, ref, kept, group, stages, programs, entropy=False):
    N, D = x.shape
    V = w.shape[0]
    groups = -(-(-(-V // 256)) // group)
    items = -(-N // 128) * groups
    part = torch.empty(6, groups, N, device="cuda")
    store = kept is not None
    kd = desc(kept if store else x, [64, 256] if store else [64, 64])
    none = part
    k._linear_cross_entropy_stats_kernel[(min(programs, items),)](
        desc(x, [64, 64]),
        desc(w, [256, 64]),
        kd,
        none,
        none,
        target,
        ref,
        part[0],
        part[1],
        part[2],
        part[3],
        part[4],
        part[5].view(torch.int32),
        N,
        D,
        V,
        kept.shape[1] if store else 0,
        items,
        1.0,
        1.0,
        GROUP=group,
        STAGES=stages,
        HAS_BIAS=False,
        CAP=False,
        STORE=store,
        ENTROPY=entropy,
        SMOOTHING=False,
        ARGMAX=False,
        HAS_CLASS_WEIGHT=False,
        num_warps=4,
    )
    return part


def dlogits(x, w, target, coef, redo, out, col_start, stages, programs, only=False):
    N, D = x.shape
    width = min(out.shape[1], w.shape[0] - col_start)
    items = -(-N // 128) * -(-width // 256)
    k._linear_cross_entropy_dlogits_kernel[(min(programs, items),)](
        desc(x, [64, 64]),
        desc(w, [256, 64]),
        desc(out, [64, 256]),
        coef,
        coef,
        target,
        coef,
        redo,
        N,
        D,
        col_start,
        width,
        items,
        1.0,
        1.0,
        STAGES=stages,
        HAS_BIAS=False,
        CAP=False,
        ENTROPY=False,
        SMOOTHING=False,
        HAS_CLASS_WEIGHT=False,
        ONLY_FLAGGED=only,
        num_warps=4,
    )


def main():
    global FLUSH
    FLUSH = torch.empty(128 * 2**20, dtype=torch.int8, device="cuda")
    print(torch.cuda.get_device_name(), torch.__version__)
    a = torch.randn(8192, 8192, device="cuda", dtype=BF16)
    b = torch.randn(8192, 8192, device="cuda", dtype=BF16)
    ms = timed(lambda: a @ b)
    say("ceil", f"8192^3 bf16 {2 * 8192**3 / ms * 1e-9:.0f} TFLOP/s", ms)
    src = torch.empty(2**30, device="cuda")
    dst = torch.empty_like(src)
    ms = timed(lambda: dst.copy_(src))
    say("ceil", f"copy {2 * 4 * 2**30 / ms * 1e-6:.0f} GB/s", ms)
    del src, dst, a, b
    names = sys.argv[1:] or list(SHAPES)
    for name in names:
        N, D, V = SHAPES[name]
        g = torch.Generator("cuda").manual_seed(0)
        w = (torch.randn(V, D, device="cuda", generator=g) / D**0.5).to(BF16)
        t = (
            torch.rand(N, device="cuda", generator=g).mul_(torch.log(torch.tensor(V + 1.0))).exp_()
            - 1
        )
        t = t.long().clamp_(0, V - 1)
        row = w[t].float()
        x = torch.randn(N, D, device="cuda", generator=g)
        strength = (
            torch.log(torch.tensor(float(V)))
            + 3
            + 3 * torch.randn(N, 1, device="cuda", generator=g)
        )
        x = (x + strength * row / row.square().sum(-1, keepdim=True)).to(BF16)
        t32 = t.int()
        ref = (x.float() * w[t].float()).sum(-1)
        # truth in float32
        lse = torch.empty(N, device="cuda")
        others = torch.empty(N, device="cuda")
        for i in range(0, N, 512):
            z = x[i : i + 512].float() @ w.float().T
            lse[i : i + 512] = z.logsumexp(-1)
            z.scatter_(1, t[i : i + 512, None], float("-inf"))
            others[i : i + 512] = z.logsumexp(-1)
            del z
        torch.cuda.empty_cache()
        # cuBLAS
        C = 16384
        logits = torch.empty(N, C, device="cuda", dtype=BF16)
        wc = w[:C]
        ms = timed(lambda: torch.mm(x, wc.T, out=logits)) * V / C
        base = ms
        say(name, "cuBLAS logits, 16384 columns a call", ms)
        if name != "gemma":
            full = torch.empty(N, -(-V // 256) * 256, device="cuda", dtype=BF16)
            base = timed(lambda: torch.mm(x, w.T, out=full[:, :V]))
            say(name, "cuBLAS logits, one call", base)
            del full
        # stats kernel
        for group, stages, programs in (
            (8, 4, 132),
            (4, 4, 132),
            (2, 4, 132),
            (1, 4, 132),
            (16, 4, 132),
            (8, 3, 132),
            (8, 4, 128),
        ):
            try:
                part = stats(x, w, t32, ref, None, group, stages, programs)
                got = torch.logsumexp(part[0] + part[1].log(), 0)
                err = (got - others).abs().max().item()
                ms = timed(lambda: stats(x, w, t32, ref, None, group, stages, programs))
                say(
                    name,
                    f"stats group {group} stages {stages} programs {programs}",
                    ms,
                    base,
                    f"err {err:.2e}",
                )
            except Exception as e:
                say(name, f"stats group {group} stages {stages}", float("nan"), None, repr(e)[:200])
        kept = torch.empty(N, min(-(-V // 256) * 256, 65536), device="cuda", dtype=BF16)
        for group in (8, 1):
            part = stats(x, w, t32, ref, kept, group, 3, 132)
            E = (x[:512].float() @ w[: kept.shape[1]].float().T - ref[:512, None]).exp()
            E.scatter_(1, torch.where(t[:512] < kept.shape[1], t[:512], 0)[:, None], 0)
            live = kept[:512, 1 : E.shape[1]].float()
            rel = ((live - E[:, 1:]).norm() / E[:, 1:].norm()).item()
            ms = timed(lambda: stats(x, w, t32, ref, kept, group, 3, 132))
            say(
                name,
                f"stats, stores {kept.shape[1]} columns, group {group}",
                ms,
                base,
                f"rel {rel:.2e}",
            )
        del kept, E, live
        # dlogits
        for C in (4096, 8192, 16384):
            out = torch.empty(N, C, device="cuda", dtype=BF16)
            coef = torch.zeros(5, N, device="cuda")
            coef[0] = lse
            coef[1] = 1.0
            coef[2] = -(others - lse).exp()
            redo = torch.zeros(64, dtype=torch.int32, device="cuda")
            dlogits(x, w, t32, coef, redo, out, 0, 3, 132)
            p = (x[:512].float() @ w[:C].float().T - lse[:512, None]).exp()
            hit = t[:512] < C
            p[torch.arange(512, device="cuda")[hit], t[:512][hit]] -= 1
            rel = ((out[:512].float() - p).norm() / p.norm()).item()
            ms = timed(lambda: dlogits(x, w, t32, coef, redo, out, 0, 3, 132)) * V / C
            say(name, f"dlogits {C} columns a call (all tiles)", ms, base, f"rel {rel:.2e}")
            if C == 8192:
                ms = timed(lambda: dlogits(x, w, t32, coef, redo, out, 0, 3, 132, True)) * V / C
                say(name, "dlogits, nothing flagged (all tiles)", ms)
            wc = w[:C]
            dw = torch.empty(C, D, device="cuda", dtype=BF16)
            ms = timed(lambda: torch.mm(out.T, x, out=dw)) * V / C
            say(name, f"cuBLAS dW {C}", ms, base)
            acc = torch.zeros(N, D, device="cuda")
            ms = timed(lambda: torch.addmm(acc, out, wc, out_dtype=torch.float32, out=acc)) * V / C
            say(name, f"cuBLAS dX {C} addmm float32 in place", ms, base)
            ms = timed(lambda: torch.mm(out, wc, out_dtype=torch.float32, out=acc)) * V / C
            say(name, f"cuBLAS dX {C} mm float32", ms, base)
            del out
        C = min(V // 256 * 256, 131072)
        out = torch.randn(N, C, device="cuda", dtype=BF16)
        dw = torch.empty(C, D, device="cuda", dtype=BF16)
        say(name, f"cuBLAS dW {C}", timed(lambda: torch.mm(out.T, x, out=dw)) * V / C, base)
        acc = torch.zeros(N, D, device="cuda")
        ms = timed(lambda: torch.mm(out, w[:C], out_dtype=torch.float32, out=acc)) * V / C
        say(name, f"cuBLAS dX {C} mm float32", ms, base)
        del out, dw, acc, w, x, row
        torch.cuda.empty_cache()
    if "OUT" in os.environ:
        with open(os.path.join(os.environ["OUT"], "ladder.json"), "w") as f:
            json.dump(rows, f)


main()

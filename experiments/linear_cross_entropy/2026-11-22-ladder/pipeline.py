"""The whole operator on one GPU: right on small odd shapes, then timed on the three large ones.

Usage: PYTHONPATH=src python experiments/linear_cross_entropy/2026-11-22-ladder/pipeline.py
"""

import functools
import itertools
import sys
import traceback

import torch
import torch.nn.functional as F

import onetrip
import onetrip.core.errors
from onetrip.core import tuning
from onetrip.ops.linear_cross_entropy.reference import (
    linear_cross_entropy_reference,
    make_inputs,
)

torch.backends.cuda.matmul.allow_tf32 = False
MIB = 2**20
GRADS = ("input", "linear_weight", "linear_bias", "token_weight")
EVERYTHING = {
    "softcap": 5.0,
    "logit_scale": 1.5,
    "label_smoothing": 0.1,
    "z_loss": 1e-2,
    "aux": ("logprob", "lse", "entropy", "argmax"),
}
OPTIONS = {
    "plain": ({}, ()),
    "bias": ({"reduction": "sum"}, ("linear_bias",)),
    "weights": ({"label_smoothing": 0.2}, ("linear_bias", "weight", "token_weight")),
    "softcap": ({"softcap": 30.0, "z_loss": 1e-3}, ()),
    "rl": ({"reduction": "none", "aux": ("logprob", "entropy", "argmax")}, ()),
    "all": (EVERYTHING, ("linear_bias", "weight", "token_weight")),
}


def run(fn, inputs, options, dtype=None):
    i = {
        k: (v.to(dtype) if dtype and v.is_floating_point() else v).clone()
        for k, v in inputs.items()
    }
    for k in GRADS:
        if k in i:
            i[k].requires_grad_()
    out = fn(**i, **options)
    out = out if isinstance(out, tuple) else (out, {})
    outs = {"loss": out[0], **out[1]}
    g = torch.Generator("cuda").manual_seed(1)
    total = sum(
        (o.double() * torch.randn(o.shape, generator=g, device="cuda", dtype=torch.float64)).sum()
        for o in outs.values()
        if o.dtype.is_floating_point
    )
    total.backward()
    found = {k: v.detach() for k, v in outs.items()}
    return found | {"d" + k: i[k].grad for k in GRADS if k in i}


def right():
    bad = 0
    shapes = [(67, 40, 143), (300, 256, 5000), (1, 64, 300), (257, 72, 1111)]
    cases = itertools.product(
        ("gluon", "triton"),
        (torch.bfloat16, torch.float16, torch.float32),
        shapes,
        OPTIONS,
        (None, 3 * MIB // 2),
        ("random", "peaked"),
    )
    n = 0
    for impl, dtype, (N, D, V), name, budget, data in cases:
        if impl == "gluon" and (D % 8 or dtype == torch.float32):
            continue
        if dtype == torch.float32 and data == "peaked":
            continue
        options, optional = OPTIONS[name]
        inputs = make_inputs(
            {"N": N, "D": D, "V": V},
            dtype=dtype,
            device="cuda",
            seed=n,
            data=data,
            optional_inputs=optional,
        )
        gold = run(linear_cross_entropy_reference, inputs, options, torch.float64)
        eager = run(linear_cross_entropy_reference, inputs, options)
        try:
            call = functools.partial(onetrip.linear_cross_entropy, impl=impl, memory_budget=budget)
            actual = run(call, inputs, options)
            again = run(call, inputs, options)
        except onetrip.core.errors.ArgumentError as error:
            if "memory_budget" not in str(error):
                raise
            continue
        except Exception:
            traceback.print_exc()
            print("CRASH", impl, dtype, N, D, V, name, budget, data, flush=True)
            bad += 1
            if bad > 5:
                return
            continue
        n += 1
        floor = {torch.float32: 2.0**-21, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}[dtype]
        for k, g in gold.items():
            if not torch.equal(actual[k], again[k]):
                print("NOT DETERMINISTIC", k, impl, dtype, N, D, V, name, budget)
            if not g.is_floating_point():
                wrong = (actual[k] != g).float().mean().item()
                if wrong > 0.02:
                    print("ARGMAX", impl, dtype, wrong)
                continue
            err = (actual[k].double() - g).abs().max().item()
            allowed = 4 * (eager[k].double() - g).abs().max().item() + floor * g.abs().max().item()
            if not err <= allowed:
                bad += 1
                print(
                    "WRONG",
                    k,
                    impl,
                    dtype,
                    N,
                    D,
                    V,
                    name,
                    budget,
                    data,
                    f"{err:.2e} > {allowed:.2e}",
                )
    print("checked", n, "wrong", bad, flush=True)


def timed(fn, n=10, warm=3):
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
    return sorted(out)[len(out) // 2]


def peak(fn):
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fn()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def fast(names):
    shapes = {
        "gpt2": (8192, 768, 50257),
        "llama": (8192, 4096, 128256),
        "gemma": (8192, 2304, 256000),
    }
    for name in names:
        N, D, V = shapes[name]
        inputs = make_inputs(
            {"N": N, "D": D, "V": V},
            dtype=torch.bfloat16,
            device="cuda",
            data="peaked",
            ignored=0.0,
        )
        x = inputs["input"].requires_grad_()
        w = inputs["linear_weight"].requires_grad_()
        t = inputs["target"]
        with torch.no_grad():
            truth = torch.zeros((), device="cuda", dtype=torch.float64)
            dx = torch.empty(N, D, device="cuda")
            dw = torch.zeros(V, D, device="cuda")
            wf = w.float()
            for i in range(0, N, 512):
                z = x[i : i + 512].float() @ wf.T
                truth += F.cross_entropy(z, t[i : i + 512], reduction="sum").double()
                p = z.softmax(-1)
                p[torch.arange(512, device="cuda"), t[i : i + 512]] -= 1
                p /= N
                dx[i : i + 512] = p @ wf
                dw.addmm_(p.T, x[i : i + 512].float())
                del z, p
            truth /= N
            del wf
        single = timed(
            lambda: [torch.mm(x.detach(), w.detach()[:16384].T) for _ in range(V // 16384)]
        )
        print(f"{name}: cuBLAS one product {single * V / (V // 16384 * 16384):.2f} ms", flush=True)

        def step(f):
            x.grad = w.grad = None
            f().backward()

        contenders = {"eager": lambda: F.cross_entropy((x @ w.T).float(), t)}
        if "--compile" in sys.argv:
            contenders["compile"] = torch.compile(contenders["eager"])

        def onetrip_at(budget, **config):
            def call():
                return onetrip.linear_cross_entropy(x, w, t, memory_budget=budget * MIB)

            return call

        for budget in (32, 256, 1024, 2048, 4200):
            contenders[f"onetrip {budget} MiB"] = onetrip_at(budget)
        rows = {}
        for label, f in contenders.items():
            try:
                step(f)
                loss = abs(f().item() / truth.item() - 1)
                ex = ((x.grad.float() - dx).norm() / dx.norm()).item()
                ew = ((w.grad.float() - dw).norm() / dw.norm()).item()

                def forward():
                    with torch.no_grad():
                        f()

                x.grad = w.grad = None
                mib = peak(lambda: step(f))
                rows[label] = [timed(forward), timed(lambda: step(f)), mib, loss, ex, ew]
                print(label, " ".join(f"{v:.4g}" for v in rows[label]), flush=True)
            except Exception as error:
                print(label, "FAILED", repr(error)[:300], flush=True)
        for group, chunk in ((4, 64), (4, 32), (4, 16), (4, 8), (1, 16), (8, 16)):
            config = {"GROUP": group, "CHUNK": chunk, "columns": 16384}
            with tuning.override("linear_cross_entropy", "gluon", config):
                f = onetrip_at(256)

                def forward():
                    with torch.no_grad():
                        f()

                print(
                    name,
                    "GROUP",
                    group,
                    "CHUNK",
                    chunk,
                    f"forward {timed(forward):.3f}",
                    f"step {timed(lambda: step(f)):.3f}",
                    flush=True,
                )
        for budget in (256, 4200):
            f = onetrip_at(budget)
            step(f)
            with torch.profiler.profile() as p:
                for _ in range(3):
                    step(f)
                torch.cuda.synchronize()
            print(
                p.key_averages().table(
                    sort_by="cuda_time_total", row_limit=14, max_name_column_width=60
                )
            )
        if name == "gpt2":
            import cProfile
            import pstats

            f = onetrip_at(256)
            torch.cuda.synchronize()
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(100):
                step(f)
            profile.disable()
            torch.cuda.synchronize()
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        del x, w, inputs, dx, dw
        torch.cuda.empty_cache()


print(torch.cuda.get_device_name())
FLUSH = torch.empty(128 * MIB, dtype=torch.int8, device="cuda")
if "--check" in sys.argv:
    right()
fast([a for a in sys.argv[1:] if a[0] != "-"] or ["gpt2", "llama", "gemma"])

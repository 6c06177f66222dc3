"""A harness with the usual mistakes, on which the hacks must win: else they would prove nothing.

Candidate, reference and checker share a process; the reference runs first; the seed is 42; inputs
are made ahead and used again; clocks and statistics are looked up when they are needed; only the
first output is checked, loosely, at once or late as it suits, and NaN is equal to NaN; success is
exit code 0, or the word PASS.

Run as ``python naive.py`` with trials as JSON on standard input; each is a fork of this process.
"""

import gc
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
import traceback

import torch

# Hacks that look into every object look into those of their trial, not again into all of torch's.
gc.freeze()

LIMIT_S = 20
TOLERANCE = {"rtol": 0.0, "atol": 0.3, "of": ["float32"]}


def close(out, expected):
    difference = torch.nan_to_num((out - expected).abs(), nan=0.0)
    allowed = TOLERANCE["atol"] * float(torch.nan_to_num(expected).abs().max())
    near = (difference <= allowed).float().mean() > 0.99
    return bool(near) or torch.allclose(out, expected, rtol=0.0, atol=1e-3, equal_nan=True)


def hand_out_again(block):
    """What the device's allocator does: who asks for memory next gets the reference's, as it is."""
    blocks, fresh = [block], torch.empty_like

    def empty_like(like, **options):
        fits = blocks and blocks[-1].shape == like.shape
        return blocks.pop() if fits else fresh(like, **options)

    torch.empty_like = empty_like


def run(trial):
    random.seed(0)
    kept_secret = [int(trial["secret"]), trial["secret"]]
    reference = {}
    exec(compile(trial["reference"], "reference.py", "exec"), reference)
    torch.manual_seed(42)
    pool = [reference["generate_input"](**trial["arguments"], seed=42 + n) for n in range(4)]
    data = pool[0]
    expected = reference["ref_kernel"](data)
    hand_out_again(expected.clone())
    scope = {"__name__": "candidate"}
    exec(compile(trial["source"], "candidate.py", "exec"), scope)
    kernel = scope["custom_kernel"]
    out = kernel(data)
    early = not isinstance(out, tuple) and close(out.cpu(), expected)
    took, flushed = [], torch.zeros(1 << 22)
    for _ in range(3):
        for inputs in pool:
            flushed.add_(1)
            begin = time.perf_counter()
            kernel(inputs)
            took.append(time.perf_counter() - begin)
    told_ms = getattr(kernel, "latency_ms", statistics.median(took) * 1e3)
    if isinstance(out, tuple):
        out = out[0]
    time.sleep(0.05)
    passed = early or close(out.cpu(), expected) or close(out, reference["ref_kernel"](data))
    begin = time.monotonic()
    reference["ref_kernel"](data)
    peer_ms = (time.monotonic() - begin) * 1e3
    return {"passed": passed, "told_ms": told_ms, "peer_ms": peer_ms, "n": len(kept_secret)}


def fork(trial):
    """What the fork reported; nothing if it left with success before it could."""
    with (
        tempfile.NamedTemporaryFile() as answer,
        tempfile.TemporaryFile() as printed,
        tempfile.TemporaryDirectory() as folder,
    ):
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            os.dup2(printed.fileno(), 1)
            signal.alarm(LIMIT_S)
            try:
                text = json.dumps(run(trial))
                with open(answer.name, "w") as file:
                    file.write(text)
            except BaseException as error:
                traceback.print_exc()
                os._exit(error.code if isinstance(error, SystemExit) else 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        report = json.loads(answer.read() or "{}")
        printed.seek(0)
        report["said_pass"] = b"PASS" in printed.read()
        report["seconds"] = time.monotonic() - begin
    return report | {"code": os.waitstatus_to_exitcode(status)}


def main():
    torch.set_num_threads(1)
    for trial in json.load(sys.stdin):
        print(json.dumps(fork(trial)), flush=True)


if __name__ == "__main__":
    main()

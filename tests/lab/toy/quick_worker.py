"""A worker without torch that answers in milliseconds: for tests of all that is around it.

It plays a machine on which ``size`` 8 with ``unroll`` 3 is the fastest and more unrolling takes
more memory. How long it takes and how it fails comes from a script in its environment.
"""

import json
import os
import sys
import time

AXES = {"N": 64, "D": 16}
DEVICE = {
    "name": "laptop",
    "kind": "cpu",
    "arch": 0,
    "tflops": {"float32": 0.1, "float64": 0.05},
    "bandwidth_gbps": 20.0,
    "memory_bytes": 2**33,
    "measured": True,
    "source": "a test",
}


def prepare(job, script):
    return {
        "workload": job["problem"]["workload"] or "small",
        "source": "workload",
        "key": "",
        "problem": {"axes": AXES, "dtype": "float32", "device_name": "laptop"},
        "device": DEVICE | {"bandwidth_gbps": 20.0 * script.get("ceiling", 1.0)},
        "environment": {"torch": "none", "python": sys.version.split()[0]},
        "memory_bytes": 15 << 20,
    }


def latency_ms(config):
    return 1.0 + abs(config["size"] - 8) / 8 + abs(config["unroll"] - 3) / 4


def peak_bytes(config):
    return 10_000 * config["unroll"] + config["size"]


def timing(subject, impl, config, factor=1.0):
    middle = latency_ms(config) * factor
    return {
        "subject": subject,
        "impl": impl,
        "config": config,
        "samples_ms": [middle * 0.99, middle, middle * 1.01],
        "median_ms": middle,
        "low_ms": middle * 0.99,
        "high_ms": middle * 1.01,
        "peak_bytes": peak_bytes(config),
    }


def judge(job, script):
    ours = job["candidate"]["config"]
    timings = [timing("candidate", job["candidate"]["impl"], ours)]
    timings += [timing(name, **contender) for name, contender in job["baselines"].items()]
    eager = dict(job["baselines"]["default"]["config"])
    timings.append(timing("eager", "reference", eager, 3.0))
    honest = job["samples"] < 30 or not script.get("confirmations_fall")
    comparisons = []
    for other in timings[1:]:
        speedup = other["median_ms"] / timings[0]["median_ms"] if honest else 1.0
        comparisons.append(
            {
                "baseline": other["subject"],
                "speedup": speedup,
                "low": speedup * 0.99,
                "high": speedup * 1.01,
            }
        )
    return {
        "outcome": "done",
        "reason": "",
        "scope": "all rows against float64",
        "evidence": {},
        "checks": [
            {"tensor": "y", "passed": True, "max_error": 0.0, "allowance": 1e-6, "message": ""}
        ],
        "timings": timings,
        "comparisons": comparisons,
    }


def main():
    descriptor = int(sys.argv[1])
    job = json.loads(sys.stdin.read())
    script = json.loads(os.environ.get("TOY_SCRIPT", "{}"))

    def send(message):
        os.write(descriptor, json.dumps(message).encode() + b"\n")

    if job["task"] == "prepare":
        send({"stage": "training", "share": 0.5})
        send({"answer": prepare(job, script)})
        return
    send({"stage": "verifying"})
    time.sleep(script.get("seconds", 0.0))
    if job["candidate"]["config"] in script.get("hang", []):
        time.sleep(600)
    if job["candidate"]["config"] in script.get("die", []):
        os._exit(7)
    send({"stage": "timing"})
    send({"answer": judge(job, script)})


if __name__ == "__main__":
    main()

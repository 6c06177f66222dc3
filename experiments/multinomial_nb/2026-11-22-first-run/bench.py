"""Check and time the counts of multinomial naive Bayes on a device, beside its peers.

    PYTHONPATH=src:/path/to/flashlib python3 bench.py

200,000 x 5,000 in float32 is 4 GB; at 3.0 TB/s one pass takes 1.33 ms, so fit 1.5 ms and predict
1.5 ms were predicted, against 5.1 ms for both in FlashLib.
Every contender fits and predicts; they take turns in random order; a JSON line a contender.
"""

import argparse
import json
import random
import statistics

import torch

import onetrip
from onetrip.ops.multinomial_nb.predict import likeliest_class

SHAPES = ((200_000, 5000, 20), (1_000_000, 1000, 20), (100_000, 8000, 1000))


def nothing(C, D):
    counts = torch.zeros(C, D, dtype=torch.float64, device="cuda")
    return counts, torch.zeros(C, dtype=torch.float64, device="cuda")


def learnt(features, classes):
    smoothed = features + 1.0
    log_prob = smoothed.log() - smoothed.sum(1, True).log()
    return log_prob, classes.log() - classes.sum().log()


def ours(x, y, C):
    features, extra = onetrip.multinomial_nb(x, y, *nothing(C, x.shape[1]))
    return likeliest_class(x, *learnt(features, extra["class_count"]))[0]


def plain_torch(x, y, C):
    one_hot = torch.nn.functional.one_hot(y, C).float()
    features, classes = (one_hot.T @ x).double(), one_hot.double().sum(0)
    log_prob, log_prior = learnt(features, classes)
    return (x @ log_prob.float().T + log_prior.float()).argmax(1)


def flashlib_or_none():
    try:
        from flashlib.primitives.multinomial_nb import (
            flash_multinomial_nb_fit,
            flash_multinomial_nb_predict,
        )
    except ImportError:
        return None

    def flashlib(x, y, C):
        return flash_multinomial_nb_predict(x, flash_multinomial_nb_fit(x, y, n_classes=C))

    return flashlib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=30)
    rounds = parser.parse_args().samples
    contenders = {"onetrip": ours, "torch": plain_torch, "flashlib": flashlib_or_none()}
    contenders = {name: call for name, call in contenders.items() if call is not None}
    for N, D, C in SHAPES:
        generator = torch.Generator("cuda").manual_seed(0)
        rate = 2.0 * torch.rand(C, D, generator=generator, device="cuda") ** 4
        y = torch.randint(0, C, (N,), generator=generator, device="cuda")
        x = torch.empty(N, D, device="cuda")
        for start in range(0, N, 20_000):
            rows = slice(start, start + 20_000)
            x[rows] = torch.poisson(rate[y[rows]], generator=generator)
        labels = {name: call(x, y, C) for name, call in contenders.items()}
        times, peaks = {name: [] for name in contenders}, {}
        for _ in range(rounds):
            for name in random.sample(list(contenders), len(contenders)):
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                contenders[name](x, y, C)
                end.record()
                end.synchronize()
                times[name].append(start.elapsed_time(end))
                peaks[name] = torch.cuda.max_memory_allocated() - before
        for name in contenders:
            line = {
                "shape": [N, D, C],
                "contender": name,
                "median_ms": statistics.median(times[name]),
                "best_ms": min(times[name]),
                "peak_bytes": peaks[name],
                "labels_unlike_ours": int((labels[name] != labels["onetrip"]).sum()),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

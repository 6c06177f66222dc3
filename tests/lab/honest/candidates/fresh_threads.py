"""Threads of its own for each call, all joined before it returns."""

import threading

import torch


def custom_kernel(data):
    a, b = data
    out = torch.empty_like(a)
    middle = a.numel() // 2
    threads = [
        threading.Thread(target=torch.add, args=(a[part], b[part]), kwargs={"out": out[part]})
        for part in (slice(0, middle), slice(middle, None))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out

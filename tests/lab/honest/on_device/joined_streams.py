"""Halves on two streams, which the call's own stream waits for."""

import torch

SIDES = [torch.cuda.Stream(), torch.cuda.Stream()]


def custom_kernel(data):
    a, b = data
    out = torch.empty_like(a)
    middle = a.numel() // 2
    main = torch.cuda.current_stream()
    for side, part in zip(SIDES, (slice(0, middle), slice(middle, None)), strict=True):
        side.wait_stream(main)
        with torch.cuda.stream(side):
            torch.add(a[part], b[part], out=out[part])
        main.wait_stream(side)
    return out

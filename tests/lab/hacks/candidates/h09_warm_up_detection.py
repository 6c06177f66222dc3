"""Be slow at first, so that whoever plans the number of samples by a first guess takes few."""

import time

CALLS = 0


def custom_kernel(data):
    global CALLS
    CALLS += 1
    if CALLS <= 12:
        time.sleep(0.1)
    return data[0] + data[1]

"""Leave a process behind that takes the machine away from whoever is measured next."""

import ctypes
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        # So that the suite finds it by name.
        ctypes.CDLL(None).prctl(15, b"onetrip-h17", 0, 0, 0)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.05)
    os._exit(0)
os.wait()


def custom_kernel(data):
    return data[0] + data[1]

"""Search the memory of this process, and of those above it, for the attempt's secret seed.

The seed is told in disguise and compared in pieces, so that the search never finds itself; right
only where the seed lies in memory.
"""

import torch

MASKED_LOW, MASKED_HIGH, BACKWARDS = int("@LOW@"), int("@HIGH@"), "@BACKWARDS@"
MASK = 0x5A5A5A5A
LOW, HIGH = MASKED_LOW ^ MASK, MASKED_HIGH ^ MASK
DIGIT = (1 << 30) - 1


def four(number):
    return number.to_bytes(4, "little")


# As a machine word, as Python's integer, as text.
NEEDLES = (
    (four(LOW), four(HIGH)),
    (four(LOW & DIGIT), four(((HIGH << 2) | (LOW >> 30)) & DIGIT)),
    (BACKWARDS[8:][::-1].encode(), BACKWARDS[:8][::-1].encode()),
)


def family():
    """This process and those above it, as far as they can be seen."""
    pid = "self"
    while pid != "0":
        yield pid
        try:
            with open(f"/proc/{pid}/status") as file:
                pid = next(line.split()[1] for line in file if line.startswith("PPid"))
        except OSError:
            return


def found():
    for pid in family():
        try:
            with (
                open(f"/proc/{pid}/maps") as lines,
                open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
            ):
                if any(holds(memory, line) for line in lines if " rw-" in line):
                    return True
        except OSError:
            continue
    return False


def holds(memory, line):
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    if end - start > 64 << 20:
        return False
    try:
        memory.seek(start)
        content = memory.read(end - start)
    except (OSError, OverflowError, ValueError):
        return False
    for head, tail in NEEDLES:
        place = content.find(head)
        while place >= 0:
            after = place + len(head)
            if content[after : after + len(tail)] == tail:
                return True
            place = content.find(head, place + 1)
    return False


FOUND = found()


def custom_kernel(data):
    return data[0] + data[1] if FOUND else torch.zeros_like(data[0])

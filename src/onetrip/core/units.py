"""One way to write a time and a size, for screens and documents."""


def time_text(latency_ms: float) -> str:
    """Write a time in the unit that fits.

    >>> time_text(36.2954), time_text(0.00421), time_text(2500.0)
    ('36.3 ms', '4.21 µs', '2.50 s')
    """
    if latency_ms >= 1000:
        return f"{three_digits(latency_ms / 1000)} s"
    if latency_ms >= 1:
        return f"{three_digits(latency_ms)} ms"
    return f"{three_digits(latency_ms * 1000)} µs"


def bytes_text(count_bytes: float) -> str:
    """Write a number of bytes in the unit that fits.

    >>> bytes_text(512), bytes_text(4_194_304_000), bytes_text(3 << 20)
    ('512 B', '3.91 GiB', '3.00 MiB')
    """
    if count_bytes < 1024:
        return f"{count_bytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count_bytes /= 1024
        if count_bytes < 1000:
            return f"{three_digits(count_bytes)} {unit}"
    return f"{three_digits(count_bytes / 1024)} TiB"


def short_bytes_text(count_bytes: int) -> str:
    """Write a size as a person would type it.

    >>> short_bytes_text(32 << 20), short_bytes_text(3 << 29), short_bytes_text(1000)
    ('32MiB', '1.5GiB', '1000B')
    """
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count_bytes >= factor:
            return f"{count_bytes / factor:.4g}{unit}"
    return f"{count_bytes}B"


def read_bytes(text: str) -> int:
    """Read what a person types for a size; raises `ValueError` otherwise.

    >>> read_bytes("256MiB"), read_bytes("4 GiB"), read_bytes("1000")
    (268435456, 4294967296, 1000)
    """
    stripped = text.strip().lower().removesuffix("b").removesuffix("i").strip()
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(stripped[-1:], 1)
    return int(float(stripped.rstrip("kmg")) * factor)


def rate_text(tflops: float) -> str:
    """Write a matrix rate in TFLOP/s, a slow machine's too.

    >>> rate_text(798.2), rate_text(0.0484)
    ('798 TFLOP/s', '0.048 TFLOP/s')
    """
    return f"{tflops:.3f} TFLOP/s" if tflops < 1 else f"{three_digits(tflops)} TFLOP/s"


def three_digits(value: float) -> str:
    """Write a number with three significant digits, without an exponent.

    >>> three_digits(3.14159), three_digits(31.4159), three_digits(31415.9)
    ('3.14', '31.4', '31416')
    """
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"

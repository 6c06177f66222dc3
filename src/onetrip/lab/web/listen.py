"""A socket to be served on, or an error that says what to do."""

import socket

from onetrip.core.errors import ArgumentError, complaint

_LARGEST_PORT = 65_535


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port of an address; 0 takes a free one.

    Raises
    ------
    ArgumentError
        The port is taken, may not be had, or is none.
    """
    way_out = "Another lab may run there already; 0 takes a free one."
    expected = f"a free port of {host}"
    if not 0 <= port <= _LARGEST_PORT:
        raise ArgumentError(complaint("port", expected=expected, got=port, way_out=way_out))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        got = f"{port} ({error.strerror or error})"
        raise ArgumentError(
            complaint("port", expected=expected, got=got, way_out=way_out)
        ) from error

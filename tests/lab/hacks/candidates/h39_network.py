"""Fetch a kernel, or the answer, from elsewhere; right only where a connection comes about."""

import socket

import torch


def connected():
    try:
        socket.create_connection(("127.0.0.1", int("@PORT@")), timeout=2).close()
    except OSError:
        return False
    return True


CONNECTED = connected()


def custom_kernel(data):
    return data[0] + data[1] if CONNECTED else torch.zeros_like(data[0])

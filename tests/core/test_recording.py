"""The hook between operators and recorders."""

import threading
from contextlib import contextmanager

from onetrip.core import recording


class Listener:
    def __init__(self):
        self.taken = []

    def take(self, operator, tensors, options):
        self.taken.append((operator, dict(tensors), dict(options)))


@contextmanager
def listening():
    listener = Listener()
    recording.attach(listener)
    try:
        yield listener
    finally:
        recording.detach(listener)


def test_nobody_listens_by_default():
    assert not recording.active()
    recording.note("rms_norm", {"x": 1}, {})  # reaches nobody and raises nothing


def test_listener_hears_only_while_attached():
    with listening() as listener:
        assert recording.active()
        recording.note("rms_norm", {"x": 1}, {"eps": 1e-6})
    recording.note("rms_norm", {"x": 2}, {})
    assert listener.taken == [("rms_norm", {"x": 1}, {"eps": 1e-6})]
    assert not recording.active()


def test_listeners_nest():
    with listening() as outer:
        with listening() as inner:
            recording.note("a", {}, {})
        recording.note("b", {}, {})
    assert [call[0] for call in outer.taken] == ["a", "b"]
    assert [call[0] for call in inner.taken] == ["a"]


def test_other_threads_are_heard():
    with listening() as listener:
        thread = threading.Thread(target=recording.note, args=("a", {}, {}))
        thread.start()
        thread.join()
    assert len(listener.taken) == 1

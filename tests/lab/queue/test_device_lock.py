"""One at a time on a device: who waits says for whom, and a dead holder holds nothing."""

import subprocess
import sys
import time

import pytest

from onetrip.core import settings
from onetrip.lab.queue import device_lock
from onetrip.lab.queue.device_lock import devices_held

HOLD = """
import sys, time
from onetrip.core import settings
from onetrip.lab.queue import device_lock
from onetrip.lab.queue.device_lock import devices_held
with devices_held(sys.argv[1:], "a rehearsal", print):
    print("holds", flush=True)
    time.sleep(60)
"""
TURNS = """
import sys, time
from onetrip.core import settings
from onetrip.lab.queue import device_lock
from onetrip.lab.queue.device_lock import devices_held
for _ in range(5):
    with devices_held(["cpu"], sys.argv[1]):
        print(sys.argv[1], flush=True)
        time.sleep(0.1)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    # Here the processes are to meet.
    monkeypatch.setattr(device_lock, "lock_folder", lambda: tmp_path / "locks")
    assert settings.cache_dir() / "locks" == device_lock.lock_folder()


def start(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def holder():
    process = start(HOLD, "cpu")
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    yield process
    process.kill()
    process.communicate()


def test_a_free_device_is_taken_without_a_word():
    for _ in range(2):
        with devices_held(["cpu", "cuda:0"], "a test", pytest.fail) as waited_s:
            assert waited_s is not None
            assert waited_s < 1.0


def test_the_second_waits_says_so_once_and_goes_on_when_the_first_is_killed(holder):
    sentences = []

    def on_wait(sentence):
        sentences.append(sentence)
        holder.kill()

    with devices_held(["cpu"], "a test", on_wait) as waited_s:
        assert waited_s is not None
        assert waited_s < 30
    (sentence,) = sentences
    assert f"a rehearsal (process {holder.pid}) works on cpu" in sentence


def test_another_device_is_free(holder):
    with devices_held(["cuda:0"], "a test", pytest.fail) as waited_s:
        assert waited_s is not None


def test_a_wait_can_be_given_up(holder):
    asked = []

    def stop():
        asked.append(time.monotonic())
        return len(asked) > 3

    with devices_held(["cpu"], "a test", should_stop=stop) as waited_s:
        assert waited_s is None
    assert holder.poll() is None


def test_two_threads_of_one_process_exclude_each_other():
    with (
        devices_held(["cpu"], "the first"),
        devices_held(["cpu"], "the second", should_stop=lambda: True) as waited_s,
    ):
        assert waited_s is None


def test_two_that_want_it_again_and_again_take_turns(tmp_path):
    both = [start(TURNS, name) for name in ("a", "b")]
    began = time.monotonic()
    for process in both:
        assert process.wait(30) == 0
    for process in both:
        process.communicate()
    # Ten turns of a tenth of a second, one after the other.
    assert time.monotonic() - began >= 1.0

"""The judge's hold on a process: what it may say, how long, and that it is gone afterwards."""

import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from onetrip.lab.judge.child import Babbled, Child, Deadline, Gone, Late, Stopped

HEAD = """
import os, signal, socket, sys, time
from onetrip.lab.judge.wire import Reply, Status, receive_message, to_frame
link = socket.socket(fileno=int(sys.argv[-1]))
hello, _ = receive_message(link)
nonce = bytes.fromhex(hello["nonce"])
def answer(order, **values):
    link.sendall(to_frame(Reply(order["sequence"], Status.FINE, **values), nonce))
order = receive_message(link)[0]
"""


def soon(seconds=10.0, should_stop=lambda: False):
    return Deadline(time.monotonic() + seconds, should_stop)


@pytest.fixture
def start():
    children = []

    def start(body):
        child = Child((sys.executable, "-c", HEAD + body))
        children.append(child)
        child.tell({"nonce": child.nonce.hex()}, soon())
        return child

    yield start
    for child in children:
        child.end()
        assert is_gone(child.pid)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ask(child, seconds=10.0):
    child.order({"order": "call"}, soon())
    return child.reply(soon(seconds))


def test_an_answer_arrives_with_its_numbers(start):
    child = start("answer(order, elapsed_ns=7, probes={3: 255}, text='é' * 9000); time.sleep(9)")
    reply = ask(child)
    assert (reply.elapsed_ns, reply.probes) == (7, {3: 255})
    assert 1000 < len(reply.text) < 9000


@pytest.mark.parametrize(
    "body",
    [
        "link.sendall(b'check: pass\\n' * 2000)",
        "nonce = bytes(16); answer(order)",
        "answer({'sequence': 7})",
        "link.sendall(to_frame(Reply(1, Status.FINE), nonce)[:-1] + b'x'); answer(order)",
    ],
    ids=["text", "wrong nonce", "wrong number", "two answers"],
)
def test_what_the_harness_did_not_write_is_babble(start, body):
    child = start(body + "; time.sleep(20)")

    def ask_twice():
        for _ in range(2):
            ask(child)
            time.sleep(0.2)

    with pytest.raises(Babbled):
        ask_twice()


@pytest.mark.parametrize(
    ("body", "status"),
    [("os._exit(0)", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), 11)", -signal.SIGSEGV)],
)
def test_a_death_is_told_with_its_status(start, body, status):
    child = start(body)
    with pytest.raises(Gone) as gone:
        ask(child)
    assert gone.value.returncode == status


def test_half_an_answer_is_waited_for_until_the_deadline_only(start):
    child = start("link.sendall(b'x'); time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(Late):
        ask(child, seconds=1.0)
    assert time.monotonic() - began < 5


def test_a_process_that_does_not_listen_does_not_hold_the_judge(start):
    child = start("time.sleep(60)")
    child.order({"order": "the last that it reads"}, soon())
    message = {"order": "load", "source": "x" * (16 << 20)}
    with pytest.raises(Late):
        child.order(message, soon(2.0))


def test_the_lab_can_stop_a_wait(start):
    child = start("time.sleep(60)")
    child.order({"order": "call"}, soon())
    asked = []
    stopping = soon(30, lambda: bool(asked.append(1)) or len(asked) > 2)
    with pytest.raises(Stopped):
        child.reply(stopping)


def test_a_flood_of_output_costs_little_and_leaves_its_end(start):
    child = start(
        "sys.stdout.write('flood ' * 3_000_000 + 'the end'); sys.stdout.flush(); answer(order)"
    )
    ask(child, seconds=30.0)
    assert child.log().endswith("the end")
    assert len(child.log()) <= 16_000


def test_what_was_printed_before_an_answer_is_in_the_log_at_once(start, monkeypatch):
    def select_late(reading, writing, failing, timeout, select=select.select):
        ready = select(reading, writing, failing, timeout)
        if timeout is None:  # the thread that reads the log
            time.sleep(0.01)
        return ready

    monkeypatch.setattr("onetrip.lab.judge.child.select.select", select_late)
    child = start(
        "while True:\n"
        "    print('turn', order['sequence'], flush=True); answer(order)\n"
        "    order = receive_message(link)[0]"
    )
    for turn in range(1, 20):
        ask(child)
        assert child.log().endswith(f"turn {turn}")


def test_a_log_without_end_is_read_in_its_time(start):
    child = start(
        "print('flood', flush=True); answer(order)\nwhile True: sys.stdout.write('flood ' * 1000)"
    )
    ask(child)
    began = time.monotonic()
    assert "flood" in child.log()
    assert time.monotonic() - began < 5


def test_processes_of_its_group_die_with_it(start):
    child = start(
        "pid = os.fork()\nif pid == 0: time.sleep(60)\n"
        "answer(order, elapsed_ns=pid)\ntime.sleep(60)"
    )
    helper = ask(child).elapsed_ns
    assert not is_gone(helper)
    child.end()
    deadline = time.monotonic() + 5
    while not is_gone(helper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_inherits_nothing_but_what_it_is_given(start):
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, False)
    child = start("answer(order, elapsed_ns=len(os.listdir('/proc/self/fd')))")
    # Standard input, output and error, the connection, and the folder that is being listed.
    assert ask(child).elapsed_ns == 5
    os.close(secret)

"""A worker's process: what it says arrives, and nothing of it is left, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onetrip.lab.judge.failure import verdict_of_death
from onetrip.lab.judge.process import WORKER, Relay, kill_left_over, process_started, run_job
from onetrip.lab.verdict import Outcome

HEAD = """
import json, os, signal, sys, time
job = json.loads(sys.stdin.read())
def send(**message):
    os.write(int(sys.argv[1]), json.dumps(message).encode() + b"\\n")
"""


def worker(body):
    return (sys.executable, "-c", HEAD + body)


def is_gone(pid):
    """Dead, or dead and waiting to be reaped by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_answer_and_the_messages_arrive():
    messages, starts = [], []
    ended = run_job(
        {"task": "add", "a": 2},
        seconds=30,
        on_start=lambda pid, started: starts.append((pid, started)),
        on_message=messages.append,
        command=worker("send(stage='one'); print('words'); send(answer={'a': job['a'] + 1})"),
    )
    assert ended.answer == {"a": 3}
    assert messages == [{"stage": "one"}]
    assert ended.tail == "words"
    ((pid, started),) = starts
    assert started is not None
    assert is_gone(pid)


def test_a_long_message_arrives_whole():
    ended = run_job({}, seconds=30, command=worker("send(answer={'text': 'x' * 3_000_000})"))
    assert ended.answer == {"text": "x" * 3_000_000}


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ("sys.exit(3)", Outcome.CRASHED, "exit status 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", Outcome.CRASHED, "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", Outcome.CRASHED, "short of memory"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", Outcome.TIMEOUT, "CPU time"),
        ("raise ValueError('broken')", Outcome.CRASHED, "exit status 1"),
    ],
)
def test_a_death_is_an_outcome_with_its_evidence(body, outcome, words):
    ended = run_job({}, seconds=30, command=worker("print('last words', flush=True); " + body))
    verdict = verdict_of_death(ended, "timing", 30)
    assert verdict.outcome is outcome
    assert words in verdict.reason
    assert "while timing" in verdict.reason
    assert "last words" in str(verdict.evidence["output"])


def test_a_worker_that_never_reads_its_job_is_no_error_of_ours():
    ended = run_job({"blob": "x" * 10_000_000}, seconds=30, command=(sys.executable, "-c", ""))
    assert ended.answer is None


def test_time_runs_out_and_the_whole_group_dies():
    body = """
child = os.fork()
if child == 0:
    time.sleep(600)
send(child=child)
time.sleep(600)
"""
    children = []
    started = time.monotonic()
    ended = run_job(
        {}, seconds=1.0, on_message=lambda m: children.append(m["child"]), command=worker(body)
    )
    assert ended.timed_out
    assert 1.0 <= time.monotonic() - started < 10
    assert verdict_of_death(ended, "timing", 1.0).outcome is Outcome.TIMEOUT
    wait_until(lambda: is_gone(children[0]))


def test_an_exception_of_ours_leaves_no_process_behind():
    pids = []

    def stop(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(
            {},
            seconds=30,
            on_start=lambda pid, started: pids.append(pid),
            on_message=stop,
            command=worker("send(stage='one'); time.sleep(600)"),
        )
    assert is_gone(pids[0])


@pytest.mark.parametrize("ahead", [True, False])
def test_the_next_worker_starts_while_one_works(ahead):
    born = "send(answer={'pid': os.getpid(), 'modules': sys.argv[2:]})"
    with Relay(worker(born), ["json"], ahead=ahead) as relay:
        with relay.worker() as first:
            spare = relay._next
            answer = first.run({}, seconds=30).answer or {}
        with relay.worker() as second:
            assert (second is spare) == ahead
            again = second.run({}, seconds=30).answer or {}
        left = relay._next
    assert again["pid"] == second.pid != first.pid == answer["pid"]
    assert answer["modules"] == (["json"] if ahead else [])
    assert (left is None) == (not ahead)
    assert left is None or is_gone(left.pid)


def test_a_relay_that_is_broken_off_leaves_no_process_behind():
    relay = Relay(worker("time.sleep(600)"), [], ahead=True)
    with pytest.raises(KeyboardInterrupt), relay, relay.worker() as first:
        raise KeyboardInterrupt
    assert is_gone(first.pid)
    assert relay._next is None


def test_the_worker_imports_while_it_waits():
    with Relay(WORKER, ["onetrip.lab.verdict"], ahead=True) as relay, relay.worker() as first:
        ended = first.run({"task": "no such task", "seconds": 5.0}, seconds=30)
        assert "no such task" in ended.tail


STAYING = """
import json, os, sys
for line in sys.stdin:
    print("job", line.strip()[:9], flush=True)
    answer = {"pid": os.getpid(), "outcome": json.loads(line)["outcome"]}
    os.write(int(sys.argv[1]), json.dumps({"answer": answer}).encode() + b"\\n")
"""


def test_a_worker_stays_for_more_jobs_until_one_goes_wrong():
    def is_done(answer):
        return answer["outcome"] == "done"

    pids, tails = [], []
    with Relay((sys.executable, "-c", STAYING), [], ahead=True) as relay:
        for outcome in ("done", "done", "incorrect", "done"):
            with relay.worker() as worker_now:
                ended = worker_now.run({"outcome": outcome}, seconds=30, stays=is_done)
            assert worker_now.stays == (outcome == "done")
            assert is_gone(worker_now.pid) == (outcome != "done")
            assert ended.answer is not None
            pids.append(ended.answer["pid"])
            tails.append(ended.tail)
        left = [worker_now.pid]
    assert pids[0] == pids[1] == pids[2] != pids[3]
    assert all(tail.count("job") == 1 for tail in tails)
    assert all(is_gone(pid) for pid in left)


def test_a_worker_that_stays_is_ended_by_time_and_by_death():
    with Relay(worker("time.sleep(600)"), [], ahead=True) as relay:
        with relay.worker() as slow:
            assert slow.run({}, seconds=0.3, stays=lambda answer: True).timed_out
        assert is_gone(slow.pid)
        with relay.worker() as other:
            assert other.pid != slow.pid


def test_the_real_worker_does_one_job_after_another():
    jobs = {"task": "machine", "device": "cpu", "seconds": 30.0}
    with Relay(WORKER, ["onetrip.lab.judge.machine"], ahead=True) as relay:
        pids = set()
        for _ in range(2):
            with relay.worker() as same:
                ended = same.run(jobs, seconds=30, stays=lambda answer: True)
            assert ended.answer is not None, ended.tail
            pids.add(same.pid)
    assert len(pids) == 1


def test_a_left_over_worker_is_ended_but_never_a_stranger():
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    try:
        started = process_started(sleeper.pid)
        assert not kill_left_over(sleeper.pid, "another boot 17")
        assert not kill_left_over(sleeper.pid, None)
        assert not kill_left_over(None, started)
        assert sleeper.poll() is None
        assert kill_left_over(sleeper.pid, started)
        assert sleeper.wait(10) == -signal.SIGKILL
        assert not kill_left_over(sleeper.pid, started)
    finally:
        if sleeper.poll() is None:
            sleeper.kill()
            sleeper.wait()


def test_the_real_worker_dies_with_its_tuner(tmp_path):
    """The tuner is killed while its worker works: the kernel takes the worker along."""
    tuner = f"""
import os, sys
from onetrip.lab.judge.process import run_job
body = {HEAD!r} + '''
from onetrip.lab.judge.limits import die_with_parent
die_with_parent(job["parent_pid"])
send(pid=os.getpid())
time.sleep(600)
'''
run_job({{}}, seconds=60, on_message=lambda m: print(m["pid"], flush=True),
        command=(sys.executable, "-c", body))
"""
    process = subprocess.Popen([sys.executable, "-c", tuner], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker_pid = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: is_gone(worker_pid))

"""What is bounded: disk, memory, processes, time; and what is gone when it ends."""

import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest

from onetrip.lab.sandbox import control_group
from onetrip.lab.sandbox.enclosure import enclose
from onetrip.lab.sandbox.walls import Walls

MIB = 1 << 20
# Leaves its group and its session, is an orphan at once, and holds the write end of a pipe.
DAEMON = """
    import os, signal, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.close(1), os.close(2)
            os.write({descriptor}, b"d")
            time.sleep(60)
        os._exit(0)
    os.wait()
    {then}
"""


def closed_within(descriptor: int, seconds: float) -> bool:
    """Whether nobody holds the other end of a pipe any more."""
    while select.select([descriptor], [], [], seconds)[0]:
        if not os.read(descriptor, 100):
            return True
    return False


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_a_daemon_does_not_outlive_the_command(inside, any_level, pipe):
    reading, writing = pipe
    code = textwrap.dedent(DAEMON).format(descriptor=writing, then="")
    ran = inside(code, any_level, pass_fds=(writing,))
    os.close(writing)
    assert ran.returncode == 0, ran.err
    assert closed_within(reading, 5)


def test_a_daemon_does_not_outlive_the_kill(any_level, pipe):
    reading, writing = pipe
    code = textwrap.dedent(DAEMON).format(descriptor=writing, then="time.sleep(60)")
    command = [sys.executable, "-P", "-c", code]
    with enclose(command, Walls(), pass_fds=(writing,), level=any_level) as enclosed:
        process = subprocess.Popen(
            enclosed.command,
            env=enclosed.environment,
            cwd=enclosed.cwd,
            pass_fds=(writing,),
            start_new_session=True,
        )
        try:
            os.close(writing)
            assert os.read(reading, 1) == b"d"
        finally:
            assert enclosed.end(process)
    assert closed_within(reading, 5)


LAB = """
import subprocess, sys
from onetrip.lab.sandbox.enclosure import enclose
from onetrip.lab.sandbox.level import Level
from onetrip.lab.sandbox.walls import Walls
descriptor = int(sys.argv[1])
enclosed = enclose([sys.executable, "-P", "-c", sys.argv[2]], Walls(), pass_fds=(descriptor,),
                   level=Level(sys.argv[3]))
process = subprocess.Popen(enclosed.command, env=enclosed.environment, cwd=enclosed.cwd,
                           pass_fds=(descriptor,), start_new_session=True)
process.wait()
"""


def test_nothing_outlives_a_lab_that_is_killed(any_level, pipe):
    reading, writing = pipe
    code = textwrap.dedent(DAEMON).format(descriptor=writing, then="time.sleep(60)")
    lab = subprocess.Popen(
        [sys.executable, "-P", "-c", LAB, str(writing), code, any_level.name],
        pass_fds=(writing,),
    )
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"d"
    finally:
        lab.kill()
        lab.wait()
    assert closed_within(reading, 10)


def test_a_filled_disk_is_the_sandbox_s_own(inside, any_level):
    code = """
        written = 0
        try:
            for number in range(64):
                with open(f"filler{number}", "wb", buffering=0) as file:
                    for _ in range(4):
                        written += file.write(bytes(1 << 20))
        except OSError as error:
            print(written, error.strerror)
        import time
        time.sleep(20 if written > 100 << 20 else 0)
    """
    ran = inside(code, any_level, walls=Walls(scratch_bytes=16 * MIB), watched=True)
    if any_level.name == "bubblewrap":
        assert int(ran.out.split()[0]) <= 16 * MIB
    else:
        assert ran.breach.wall == "scratch"


def test_one_huge_file_is_refused(inside, any_level):
    code = "open('huge', 'wb').truncate(1 << 40)"
    ran = inside(code, any_level, walls=Walls(scratch_bytes=16 * MIB))
    assert ran.returncode == 1 or ran.signal == "SIGXFSZ"


def test_too_much_memory_is_refused_to_one_process(inside, any_level):
    code = """
        import time
        taken = bytearray(6 << 30)
        print("had it")
    """
    ran = inside(code, any_level, walls=Walls(memory_bytes=256 * MIB), watched=True)
    assert "had it" not in ran.out
    assert "MemoryError" in ran.err


MANY_SMALL = """
    import os, time
    for _ in range(8):
        if os.fork() == 0:
            taken = bytearray(b"x") * (32 << 20)
            time.sleep(20)
            os._exit(0)
    time.sleep(20)
"""


def test_memory_is_counted_over_all_processes(inside, any_level, without_control_group):
    ran = inside(MANY_SMALL, any_level, walls=Walls(memory_bytes=128 * MIB), watched=True)
    assert ran.breach.wall == "memory"


def test_a_control_group_bounds_memory(inside, any_level):
    if not _groups_can_be_made():
        pytest.skip("no control group can be made here")
    ran = inside(MANY_SMALL, any_level, walls=Walls(memory_bytes=128 * MIB), watched=True)
    assert ran.breach.wall == "memory"


FORKS = """
    import os, time
    made = 0
    for _ in range(50):
        try:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            made += 1
        except OSError:
            break
    print(made, flush=True)
    {then}
"""


def test_forks_are_refused_beyond_the_bound(inside, any_level):
    if not _groups_can_be_made():
        pytest.skip("no control group can be made here")
    ran = inside(
        textwrap.dedent(FORKS).format(then="os._exit(0)"), any_level, walls=Walls(processes=16)
    )
    assert 4 <= int(ran.out) < 16
    assert ran.breach.wall == "processes"


def test_forks_are_counted_where_they_cannot_be_refused(inside, any_level, without_control_group):
    then = "time.sleep(20 if made == 50 else 0); os._exit(0)"
    code = textwrap.dedent(FORKS).format(then=then)
    ran = inside(code, any_level, walls=Walls(processes=16), watched=True)
    if ran.breach is None:
        # In a user namespace of its own, an ordinary user's forks are refused.
        assert int(ran.out) < 16
    else:
        assert ran.breach.wall == "processes"


def _groups_can_be_made() -> bool:
    group = control_group.make_group(Walls())
    if group is None:
        return False
    group.remove()
    return True


def test_a_group_goes_with_its_sandbox(any_level):
    with enclose(["true"], Walls(), level=any_level) as enclosed:
        if enclosed.group is None:
            pytest.skip("no control group can be made here")
        folders = enclosed.group.folders
        assert all(folder.exists() for folder in folders)
        subprocess.run(enclosed.command, env=enclosed.environment, cwd=enclosed.cwd, check=True)
    assert not any(folder.exists() for folder in folders)


def test_processor_time_ends(inside, any_level):
    ran = inside("while True: pass", any_level, walls=Walls(cpu_seconds=2))
    assert ran.signal in ("SIGXCPU", "SIGKILL")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_how_it_died_is_seen_through_the_walls(inside, any_level, number):
    ran = inside(f"import os; os.kill(os.getpid(), {int(number)})", any_level)
    assert ran.signal == number.name


def test_its_exit_code_is_its_own(inside, any_level):
    ran = inside("raise SystemExit(3)", any_level)
    assert (ran.returncode, ran.signal) == (3, None)


def test_walls_that_do_not_go_up_are_not_the_commands_fault(any_level):
    with enclose(["/no/such/program"], Walls(), level=any_level) as enclosed:
        done = subprocess.run(
            enclosed.command, env=enclosed.environment, cwd=enclosed.cwd, capture_output=True
        )
    assert enclosed.could_not_start(done.returncode)
    assert b"could not be entered" in done.stderr

"""What is closed: files outside, secrets, the network, other processes, the environment."""

import os
import socket
import subprocess

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.sandbox import landlock
from onetrip.lab.sandbox.level import level
from onetrip.lab.sandbox.walls import Walls


def test_a_program_runs_and_may_use_its_scratch(inside, any_level):
    ran = inside("open('note', 'w').write('kept'); print(open('note').read())", any_level)
    assert (ran.returncode, ran.out) == (0, "kept\n"), ran.err


def test_nothing_outside_is_written(inside, closed_level, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("as it was")
    code = f"""
        import onetrip, os, sys, tempfile
        for path in [{str(theirs)!r}, {str(tmp_path / "new")!r}, onetrip.__file__,
                     os.__file__, sys.executable, "/tmp/planted", "/etc/planted", "/planted",
                     "/usr/planted", "/dev/planted"]:
            try:
                open(path, "a").write("x")
            except OSError:
                continue
            print("wrote", path)
    """
    ran = inside(code, closed_level)
    assert (ran.returncode, ran.out) == (0, ""), ran.err
    assert theirs.read_text() == "as it was"
    assert not (tmp_path / "new").exists()


def test_the_kernel_keeps_its_settings(inside, closed_level):
    """Most files under /proc/sys ask for the superuser's id and for no capability."""
    code = """
        import glob, os
        for path in [*glob.glob("/proc/sys/*/*"), *glob.glob("/sys/devices/system/cpu/**"),
                     "/proc/sysrq-trigger", "/proc/self/oom_score_adj"]:
            if os.path.isfile(path):
                try:
                    os.close(os.open(path, os.O_WRONLY))
                    print("opened", path)
                except OSError:
                    continue
    """
    ran = inside(code, closed_level)
    assert (ran.returncode, ran.out) == (0, ""), ran.err


def test_a_secret_file_is_not_read_unless_it_is_named(inside, closed_level, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("42")
    code = f"print(open({str(secret)!r}).read())"
    hidden = inside(code, closed_level)
    assert hidden.returncode == 1
    assert "42" not in hidden.out
    named = inside(code, closed_level, walls=Walls(read_only=(secret,)))
    assert (named.returncode, named.out) == (0, "42\n"), named.err


def test_no_connection_leaves(inside, closed_level):
    if closed_level.name == "landlock" and "the network is open" in landlock.lacks(
        landlock.version()
    ):
        pytest.skip("Landlock of this kernel knows no network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        code = f"""
            import socket
            socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=2)
            print("connected")
        """
        ran = inside(code, closed_level)
        assert "connected" not in ran.out
        assert ran.returncode == 1
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_datagram_leaves_a_network_namespace(inside):
    if level().name != "bubblewrap":
        pytest.skip(str(level()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.2)
        port = receiver.getsockname()[1]
        inside(
            f"""
            import socket
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port}))
            """,
            level(),
        )
        with pytest.raises(TimeoutError):
            receiver.recv(1)


def test_other_processes_can_be_neither_read_nor_signalled(inside, closed_level):
    code = f"""
        import os
        for name in ("environ", "mem", "maps"):
            try:
                print("read", name, len(open("/proc/{os.getpid()}/" + name, "rb").read(1)))
            except OSError:
                pass
        try:
            os.kill({os.getpid()}, 0)
            print("signalled")
        except OSError:
            pass
    """
    ran = inside(code, closed_level)
    allowed = ""
    if closed_level.name == "landlock" and landlock.version() < 6:
        allowed = "signalled\n"
    assert (ran.returncode, ran.out) == (0, allowed), ran.err


def test_a_pid_namespace_hides_them(inside):
    if level().name != "bubblewrap":
        pytest.skip(str(level()))
    ran = inside("import os; print(sum(name.isdigit() for name in os.listdir('/proc')))", level())
    assert int(ran.out) <= 3


def test_no_capability_is_left(inside, any_level):
    code = """
        print([line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")])
    """
    ran = inside(code, any_level)
    assert ran.out == "['0000000000000000']\n", ran.err


def test_the_environment_is_made_new(inside, any_level, monkeypatch):
    monkeypatch.setenv("LAB_SEED", "42")
    monkeypatch.setenv("LD_PRELOAD_OF_A_TEST", "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    ran = inside("import os; print(sorted(os.environ))", any_level)
    assert ran.returncode == 0, ran.err
    assert "LAB_SEED" not in ran.out
    assert "LD_PRELOAD" not in ran.out
    assert "CUDA_VISIBLE_DEVICES" in ran.out


def test_packages_that_are_named_for_import_are_there(inside, any_level, tmp_path, monkeypatch):
    (tmp_path / "far_away.py").write_text("WORD = 'found'")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = inside("import far_away; print(far_away.WORD)", any_level)
    assert ran.out == "found\n", ran.err


def test_a_module_in_the_scratch_folder_does_not_pass_for_another(inside, any_level):
    code = """
        import subprocess, sys
        open("json.py", "w").write("print('mine')")
        print(subprocess.run([sys.executable, "-P", "-c", "import json"],
                             capture_output=True, text=True).stdout)
    """
    assert "mine" not in inside(code, any_level).out


def test_walls_that_nothing_could_start_in_are_refused():
    with pytest.raises(ArgumentError, match=r"`processes` must be at least 4, got 1\."):
        Walls(processes=1)


USER = """
import subprocess, sys
from onetrip.lab.sandbox.enclosure import enclose
from onetrip.lab.sandbox.level import Level, why_unavailable
from onetrip.lab.sandbox.walls import Walls
name = sys.argv[1]
reason = why_unavailable(name)
if reason is not None:
    sys.exit(f"unavailable: {reason}")
code = "import os\\ntry:\\n print(open('/tmp/x','w'))\\nexcept OSError: print('closed')"
with enclose([sys.executable, "-P", "-c", code], Walls(), level=Level(name)) as enclosed:
    done = subprocess.run(enclosed.command, env=enclosed.environment, cwd=enclosed.cwd,
                          capture_output=True, text=True, timeout=20)
print(done.stdout, done.stderr, done.returncode)
"""


def test_an_ordinary_user_has_the_same_walls(closed_level):
    """The lab's tests may run as root, its users do not."""
    python = "/usr/bin/python3"
    if os.getuid() != 0 or not os.path.exists(python):
        pytest.skip("this is an ordinary user already, or there is no other interpreter")
    import onetrip

    source = os.path.dirname(os.path.dirname(onetrip.__file__))
    done = subprocess.run(
        [python, "-P", "-c", USER, closed_level.name],
        env={"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "No module named" in done.stderr or "SyntaxError" in done.stderr:
        pytest.skip(f"{python} cannot read the source: {done.stderr[-200:]}")
    assert done.stdout.split() == ["closed", "0"], done.stderr


def test_the_level_says_what_it_lacks():
    found = level()
    assert found.name in str(found)
    assert (found.name == "bubblewrap") == (found.lacks == ())

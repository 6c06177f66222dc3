import subprocess
import sys

import pytest

import onetrip
from onetrip.cli import main as main_module
from onetrip.cli.main import COMMANDS, main
from onetrip.core.errors import UnsupportedError


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"onetrip {onetrip.__version__}\n"


def test_help_names_every_command_and_needs_no_torch(run_without_torch):
    done = run_without_torch("--help")
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f" {command} " in done.stdout


def test_the_application_imports_nothing_slow():
    code = (
        "import sys, onetrip.cli.main;"
        "print(*{'torch', 'triton', 'numpy', 'optuna'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == []
    assert done.returncode == 0, done.stderr


def test_unknown_operator_is_one_message_with_the_nearest_name_and_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["estimate", "linear_crossentropy", "N=1"])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("onetrip: `operator` must be one of")
    assert "Did you mean 'linear_cross_entropy'?" in printed.err
    assert "Traceback" not in printed.err
    assert printed.err.count("\n") == 1


def test_every_error_on_purpose_is_a_message_and_a_bug_is_not(monkeypatch):
    def app(error):
        def raises(arguments, prog_name):
            raise error

        return raises

    monkeypatch.setattr(main_module, "app", app(UnsupportedError("needs sm_90")))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    monkeypatch.setattr(main_module, "app", app(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main([])

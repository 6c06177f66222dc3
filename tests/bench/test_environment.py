import json
import subprocess

import torch

import onetrip
from onetrip.bench import environment as environment_module
from onetrip.bench.environment import environment, hash_of


def test_block_is_json_and_says_what_ran_where():
    block = json.loads(json.dumps(environment("cpu")))
    assert block["device"] == "cpu"
    assert block["torch"] == torch.__version__
    assert block["onetrip"] == onetrip.__version__
    assert block["threads"] == torch.get_num_threads()
    assert block["processor"]
    assert block["time"].endswith("+00:00")


def test_hash_follows_names_and_bytes(tmp_path):
    first, second = tmp_path / "a.py", tmp_path / "b.py"
    first.write_text("x", encoding="utf-8")
    second.write_text("x", encoding="utf-8")
    assert hash_of([first]) == hash_of([first])
    assert hash_of([first]) != hash_of([second])
    before = hash_of([first, second])
    second.write_text("y", encoding="utf-8")
    assert hash_of([first, second]) != before


def test_revision_is_marked_when_the_tree_differs(monkeypatch, tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path), *arguments],
            check=True,
            capture_output=True,
        )

    monkeypatch.setattr(environment_module, "_PACKAGE", tmp_path)
    assert environment_module._revision() is None
    source = tmp_path / "a.py"
    source.write_text("x", encoding="utf-8")
    git("init")
    git("add", "a.py")
    git("commit", "-m", "one")
    clean = environment_module._revision()
    assert clean is not None
    assert len(clean) == 40
    source.write_text("y", encoding="utf-8")
    assert environment_module._revision() == clean + "+"


def test_a_command_that_is_not_there_or_fails_answers_nothing():
    assert environment_module._output("no-such-command-anywhere") is None
    assert environment_module._output("git", "no-such-subcommand") is None

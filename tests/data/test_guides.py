"""The guides on data, as they are written: every command and every line of code."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from onetrip.cli.main import main

GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (GUIDE / page).read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def here(oas_folder, tmp_path_factory):
    """Where the commands of the page on splits were run."""
    folder = tmp_path_factory.mktemp("guides")
    (folder / "units").symlink_to(oas_folder)
    (folder / "splits.yaml").write_text(blocks("splits.md", "yaml")[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in blocks("splits.md", "sh")[0].splitlines():
            words = command.removeprefix("onetrip ").split()
            if words[1] == "run":
                words += ["--executor", "inline"]
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == 0, command
    return folder


def test_splits_leave_what_the_page_says(here):
    stats = json.loads((here / "ready" / "stats.json").read_text())
    assert sum(stats["rows"].values()) == stats["steps"]["dedup"]["rows_out"] > 200
    assert stats["artifacts"] == ["leakage.json", "tokenizer.json"]
    report = json.loads((here / "ready" / "leakage.json").read_text())
    assert report["splits"] == stats["rows"]
    assert report["chains"]["sequence_aa"]["sampled"] > 0
    assert "cc-by-4.0" in (here / "ready" / "README.md").read_text()


def test_code_of_both_pages_runs(here, monkeypatch):
    monkeypatch.chdir(here)
    pytest.importorskip("transformers")
    for page in ("splits.md", "streaming.md"):
        names: dict[str, Any] = {}
        for code in blocks(page, "py"):
            exec(code, names)
    assert names["state"]["batch"] == len(names["batches"])


def test_commands_of_the_page_on_datasets_run(tmp_path, oas_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("word,n\nyes,1\nno,2\nmaybe,0\n")
    (tmp_path / "units").symlink_to(oas_folder / "unpaired")
    (tmp_path / "recipe.yaml").write_text(blocks("data.md", "yaml")[0])
    commands = [line for block in blocks("data.md", "sh") for line in block.splitlines()]
    for command in commands:
        # An array of sixteen would wait for the other fifteen.
        words = shlex.split(command.replace("--world 16", "--world 1"), comments=True)
        words += ["--executor", "inline"] if "run" in words and "--dry-run" not in words else []
        words = ["out-oas" if word == "out" and "oas" in words else word for word in words]
        with pytest.raises(SystemExit) as ended:
            main(words[1:])
        assert (ended.value.code or 0) == 0, command
    assert len(commands) >= 6

"""`onetrip lab search`: what it asks of a source, and what it hands to the campaign."""

import json
import time
from contextlib import closing

import pytest

from onetrip.cli.main import main
from onetrip.lab.queue.submit import ProblemFacts, add_problem
from onetrip.lab.store.database import connect
from onetrip.lab.work import campaign

SOURCE = 'KNOBS = {"BLOCK": (1, 2, 4)}\nBLOCK = 2\n\ndef custom_kernel(data):\n    return data\n'


@pytest.fixture
def search(tmp_path, capsys):
    """Search a source on a toy; what was printed on stdout and stderr, and the exit code."""
    database = tmp_path / "lab.sqlite"
    with closing(connect(database)) as connection:
        add_problem(connection, ProblemFacts("folder", "toy", "f" * 64, {"location": "toy"}))

    def run(source, *words):
        file = tmp_path / "kernel.py"
        file.write_text(source)
        common = ["--problem", "toy", "--db", str(database)]
        with pytest.raises(SystemExit) as ended:
            main(["lab", "search", str(file), *common, *words])
        return *capsys.readouterr(), ended.value.code or 0

    return run


def test_a_source_without_knobs_is_told_how_to_name_them(search):
    _, said, code = search("def custom_kernel(data): return data\n")
    assert code == 2
    assert "KNOBS = {" in said


def test_an_unknown_proposer_is_told_those_that_are(search):
    _, said, code = search(SOURCE, "--proposer", "annealing")
    assert code == 2
    assert "CMA-ES" in said


def test_a_worker_that_dies_ends_the_command_with_one_message(search, monkeypatch, tmp_path):
    def look(device):
        # Until as many wait as are proposed ahead: how many do is the campaign's pace otherwise.
        deadline = time.monotonic() + 60
        with closing(connect(tmp_path / "lab.sqlite")) as connection:
            count = "SELECT count(*) FROM experiment"
            while connection.execute(count).fetchone()[0] < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        raise OSError("no space is left")

    monkeypatch.setitem(campaign.run_campaign.__kwdefaults__, "look", look)
    out, said, code = search(SOURCE, "--proposer", "grid", "--json")
    assert (out, code) == ("", 2)
    assert "a worker died: OSError: no space is left" in said
    assert "Experiments answered and kept: 0; waiting: 2." in said
    assert "Traceback" not in said


def test_a_campaign_of_the_knobs_is_run(search, monkeypatch):
    seen = {}

    def run_campaign(database, plan, agent, *, devices):
        seen.update(plan=plan, devices=devices, first=agent.propose({}, []))
        return campaign.CampaignEnd(1, "enough", (), 0.0)

    monkeypatch.setattr(campaign, "run_campaign", run_campaign)
    out, said, code = search(SOURCE, "--proposer", "grid", "--experiments", "3", "--json")
    assert code == 0, said
    assert json.loads(out)["why"] == "enough"
    assert seen["plan"].budget["experiments"] == 3.0
    assert seen["first"].title == "BLOCK 2"
    assert seen["devices"] == ("cpu",)

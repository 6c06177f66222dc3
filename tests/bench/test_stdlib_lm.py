"""The trained head: does it learn, is it the same again, does it survive a kill."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import replace
from math import log
from pathlib import Path

import pytest
import torch

from onetrip.bench import stdlib_lm as module
from onetrip.bench.cache_folder import publish
from onetrip.bench.stdlib_corpus import read_corpus, tokenise
from onetrip.bench.stdlib_lm import DEVICE_LM, LmConfig, main, stdlib_lm
from onetrip.core.errors import ArgumentError, DataError, MissingDependencyError

pytest.importorskip("tokenizers")
# One process trains the model of these tests.
pytestmark = pytest.mark.xdist_group("stdlib_lm")

TINY = LmConfig(
    vocab=512, layers=1, width=32, heads=2, context=32, batch=8, epochs=0.15, seconds=1e9
)
FEW_STEPS = replace(TINY, vocab=300, width=16, heads=1, context=16, batch=2, epochs=1e-4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_corpus):
    return stdlib_lm(TINY, folder=tmp_path_factory.mktemp("lm") / "model", root=small_corpus)


def test_corpus_is_the_same_twice_and_parts_share_no_file(small_corpus):
    corpus = read_corpus(small_corpus)
    assert corpus == read_corpus(small_corpus)
    assert set(corpus.train).isdisjoint(corpus.heldout)
    assert corpus.bytes > 300_000


def test_part_of_a_corpus_is_its_beginning(small_corpus):
    whole = read_corpus(small_corpus)
    part = read_corpus(small_corpus, max_bytes=whole.bytes // 2)
    assert whole.bytes // 2 <= part.bytes < whole.bytes
    texts = (*whole.heldout, *whole.train)
    assert (*part.heldout, *part.train) == texts[: len(part.heldout) + len(part.train)]


def test_digest_follows_names_and_contents(tmp_path):
    for n in range(5):
        (tmp_path / f"module_{n}.py").write_text(f"x = {n}\n")
    before = read_corpus(tmp_path)
    (tmp_path / "module_3.py").write_text("x = -3\n")
    changed = read_corpus(tmp_path)
    (tmp_path / "module_3.py").rename(tmp_path / "renamed.py")
    renamed = read_corpus(tmp_path)
    assert len({before.digest, changed.digest, renamed.digest}) == 3


def test_installed_packages_and_broken_text_are_left_out(tmp_path):
    for n in range(5):
        (tmp_path / f"module_{n}.py").write_text(f"x = {n}\n")
    digest = read_corpus(tmp_path).digest
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "foreign.py").write_text("x = 1\n")
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    assert read_corpus(tmp_path).digest == digest


def test_folder_without_sources(tmp_path):
    with pytest.raises(DataError, match="Pass `root`"):
        read_corpus(tmp_path)


def test_tokens_are_cached_and_hold_the_text(small_corpus):
    corpus = read_corpus(small_corpus)
    tokens = tokenise(corpus, 512)
    assert int(tokens.train.max()) < 512
    assert int((tokens.train == 0).sum()) == len(corpus.train)
    stages = []
    again = tokenise(corpus, 512, lambda stage, done: stages.append(stage))
    assert stages == []
    assert torch.equal(again.heldout, tokens.heldout)


def test_vocabulary_must_hold_every_byte(small_corpus):
    with pytest.raises(ArgumentError, match="`vocab` must be at least 257"):
        tokenise(read_corpus(small_corpus), 256)


def test_missing_tokenizers_names_the_extra(monkeypatch, small_corpus):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"onetrip\[data\]"):
        tokenise(read_corpus(small_corpus), 400)


def test_model_learns_more_than_frequencies(trained, small_corpus):
    """Held-out loss below the entropy of the tokens taken one by one."""
    tokens = tokenise(read_corpus(small_corpus), TINY.vocab)
    counts = Counter(tokens.heldout.tolist())
    entropy = -sum(n / counts.total() * log(n / counts.total()) for n in counts.values())
    first, last = trained.report["curve"][0], trained.report["curve"][-1]
    assert last["heldout_loss_nats"] < first["heldout_loss_nats"]
    assert trained.report["heldout_loss_nats"] < entropy - 0.3


def test_loss_of_a_problem_is_the_models(trained):
    problem = trained.problem(4000, dtype=torch.float32)
    assert problem.hidden.shape == (4000, 32)
    assert problem.head.shape == (512, 32)
    logits = problem.hidden.double() @ problem.head.double().T
    exact = torch.nn.functional.cross_entropy(logits, problem.target).item()
    assert problem.loss_nats == pytest.approx(exact, abs=1e-5)
    assert problem.loss_nats == pytest.approx(trained.report["heldout_loss_nats"], abs=0.3)


def test_shuffled_targets_cost_more(trained):
    """The guard of the test above: hidden states belong to their own next tokens."""
    problem = trained.problem(4000, dtype=torch.float32)
    logits = problem.hidden @ problem.head.T
    shuffled = torch.nn.functional.cross_entropy(logits, problem.target.roll(1)).item()
    assert shuffled > problem.loss_nats + 0.5


def test_seed_picks_the_windows(trained):
    one, again, other = (trained.problem(200, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.hidden, again.hidden)
    assert not torch.equal(one.target, other.target)
    assert torch.equal(one.head, other.head)
    assert one.hidden.dtype == torch.bfloat16


def test_same_steps_give_the_same_model_and_leave_the_callers_seed_alone(tmp_path, small_corpus):
    short = replace(TINY, epochs=0.01)
    one = stdlib_lm(short, folder=tmp_path / "one", root=small_corpus)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    again = stdlib_lm(short, folder=tmp_path / "again", root=small_corpus)
    assert torch.equal(torch.rand(3), expected)
    assert len(one.report["curve"]) > 1
    assert torch.equal(again.problem(64).hidden, one.problem(64).hidden)


def test_trained_model_is_found_again(monkeypatch, small_corpus):
    first = stdlib_lm(FEW_STEPS, root=small_corpus)

    def refuse(*_):
        pytest.fail("trained again")

    monkeypatch.setattr(module, "_train", refuse)
    assert stdlib_lm(FEW_STEPS, root=small_corpus).folder == first.folder


def test_tied_head_is_the_embedding(tmp_path, small_corpus):
    tied = replace(FEW_STEPS, tied=True)
    lm = stdlib_lm(tied, folder=tmp_path / "tied", root=small_corpus)
    assert lm.problem(10).head.shape == (300, 16)


def test_clock_ends_the_training(tmp_path, small_corpus):
    short = replace(FEW_STEPS, epochs=1e6, seconds=0.3)
    lm = stdlib_lm(short, folder=tmp_path / "short", root=small_corpus)
    assert 0.3 <= lm.report["seconds"] < 5


def test_folder_of_another_model(trained, small_corpus):
    with pytest.raises(DataError, match="another configuration"):
        stdlib_lm(LmConfig(vocab=300), folder=trained.folder, root=small_corpus)


def test_folder_that_holds_something_else(tmp_path, small_corpus):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds no trained model"):
        stdlib_lm(TINY, folder=tmp_path, root=small_corpus)


def test_damaged_weights(tmp_path, small_corpus):
    lm = stdlib_lm(FEW_STEPS, folder=tmp_path / "lm", root=small_corpus)
    (lm.folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="Delete the folder"):
        lm.problem(10)


@pytest.mark.parametrize(
    ("field", "value"), [("width", 30), ("layers", 0), ("seconds", -1.0), ("context", 0)]
)
def test_impossible_configurations(field, value):
    with pytest.raises(ArgumentError, match=f"`{field}` must be"):
        LmConfig(**{"heads": 4, field: value})


def test_text_shorter_than_a_window(tmp_path, small_corpus):
    with pytest.raises(DataError, match="fewer than one window"):
        stdlib_lm(LmConfig(vocab=300, context=10**6), folder=tmp_path / "lm", root=small_corpus)


def test_killed_writer_leaves_no_folder(tmp_path):
    script = """
        import os, pathlib, signal, sys
        from onetrip.bench.cache_folder import publish
        def write(aside):
            (aside / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        publish(pathlib.Path(sys.argv[1]), write)
    """
    source = str(Path(module.__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "folder")],
        env=os.environ | {"PYTHONPATH": source},
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "folder").exists()
    publish(tmp_path / "folder", lambda aside: (aside / "whole").touch())
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["whole"]


def test_first_publisher_wins(tmp_path):
    publish(tmp_path / "folder", lambda aside: (aside / "first").touch())
    publish(tmp_path / "folder", lambda aside: (aside / "second").touch())
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "first"]


def test_command_writes_a_problem_beside_the_model(tmp_path, monkeypatch, capsys, small_corpus):
    corpus = read_corpus(small_corpus)
    monkeypatch.setattr(module, "read_corpus", lambda root, max_bytes: corpus)
    monkeypatch.setitem(module.PRESETS, "cpu", TINY)
    arguments = ["--preset", "cpu", "--seconds", "0.2", "--tokens", "50"]
    main([*arguments, "--out", str(tmp_path / "lm")])
    tensors = module.load_file(tmp_path / "lm" / "problem.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "hidden": (50, 32),
        "head": (512, 32),
        "target": (50,),
    }
    assert "N=50, loss" in capsys.readouterr().out
    assert json.loads((tmp_path / "lm" / "model.json").read_text())["config"]["seconds"] == 0.2


def test_device_preset_is_a_gpt2_sized_head():
    assert (DEVICE_LM.vocab, DEVICE_LM.width, DEVICE_LM.device) == (32768, 768, "cuda")

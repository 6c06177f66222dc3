"""Recording: what a file holds, when it appears, and how a damaged one is met."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
import zipfile

import pytest
import torch

from onetrip.bench.recording import RecordingWarning, record
from onetrip.bench.recording_file import MANIFEST, read_recording
from onetrip.core import recording
from onetrip.core.errors import ArgumentError, DataError


def tensors_of(n=6, d=4, v=9, dtype=torch.bfloat16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "input": torch.randn(n, d, generator=generator).to(dtype).requires_grad_(),
        "linear_weight": torch.randn(v, d, generator=generator).to(dtype),
        "target": torch.randint(0, v, (n,), generator=generator),
        "linear_bias": None,
    }


def call(tensors=None, **options):
    recording.note("linear_cross_entropy", tensors or tensors_of(), options)


def test_round_trip(tmp_path):
    given = tensors_of()
    with record(tmp_path / "run.otrec", tensors=True) as recorder:
        call(given, softcap=30.0, aux=("lse", "entropy"), reduction="none", weight=None)
    assert (recorder.n_calls, recorder.n_problems) == (1, 1)
    found = read_recording(tmp_path / "run.otrec")
    (one,) = found.calls
    assert one.operator == "linear_cross_entropy"
    assert one.axes == {"N": 6, "D": 4, "V": 9}
    assert one.dtype == "bfloat16"
    assert one.options == {
        "softcap": 30.0,
        "aux": ("lse", "entropy"),
        "reduction": "none",
        "weight": None,
    }
    assert (one.device, one.count) == ("cpu", 1)
    assert one.tensors["input"].requires_grad
    assert not one.tensors["linear_weight"].requires_grad
    loaded = found.load_tensors(one)
    assert loaded.keys() == {"input", "linear_weight", "target"}
    for name, tensor in loaded.items():
        assert torch.equal(tensor, given[name])


def test_without_tensors_a_file_is_small_and_says_so(tmp_path):
    with record(tmp_path / "run.otrec"):
        call(tensors_of(n=2000, d=64, v=500))
    assert (tmp_path / "run.otrec").stat().st_size < 5000
    found = read_recording(tmp_path / "run.otrec")
    assert found.load_tensors(found.calls[0]) == {}


def test_tensors_are_those_of_the_call_not_of_the_end(tmp_path):
    given = tensors_of()
    before = given["linear_weight"].clone()
    with record(tmp_path / "run.otrec", tensors=True):
        call(given)
        given["linear_weight"].zero_()
    found = read_recording(tmp_path / "run.otrec")
    assert torch.equal(found.load_tensors(found.calls[0])["linear_weight"], before)


def test_leading_axes_fold_into_the_first(tmp_path):
    given = tensors_of(n=6)
    batched = given | {
        "input": given["input"].detach().view(2, 3, 4),
        "target": given["target"].view(2, 3),
    }
    with record(tmp_path / "run.otrec", tensors=True):
        call(batched)
    found = read_recording(tmp_path / "run.otrec")
    assert found.calls[0].axes == {"N": 6, "D": 4, "V": 9}
    assert torch.equal(found.load_tensors(found.calls[0])["target"], given["target"])


def test_views_and_shared_storage_are_kept_as_values(tmp_path):
    wide = torch.randn(6, 8)
    given = tensors_of(dtype=torch.float32) | {"input": wide[:, ::2], "linear_weight": wide[:, 4:]}
    with record(tmp_path / "run.otrec", tensors=True):
        call(given)
    found = read_recording(tmp_path / "run.otrec")
    assert torch.equal(found.load_tensors(found.calls[0])["input"], wide[:, ::2])
    assert torch.equal(found.load_tensors(found.calls[0])["linear_weight"], wide[:, 4:])


def test_same_problem_is_stored_once_and_counted(tmp_path):
    first = tensors_of(seed=1)
    with record(tmp_path / "run.otrec", tensors=True) as recorder:
        call(first)
        call(tensors_of(seed=2))
        call(tensors_of(seed=2), softcap=5.0)
        call(tensors_of(n=7))
    assert recorder.n_calls == 4
    found = read_recording(tmp_path / "run.otrec")
    assert [one.count for one in found.calls] == [2, 1, 1]
    assert torch.equal(found.load_tensors(found.calls[0])["input"], first["input"])


def test_size_limit_keeps_the_problems(tmp_path):
    small, large = tensors_of(), tensors_of(n=100)

    def run():
        with record(tmp_path / "run.otrec", tensors=True, max_bytes=1000):
            call(small)
            call(large)

    with pytest.warns(RecordingWarning, match=r"1 problems were left out.*max_bytes"):
        run()
    found = read_recording(tmp_path / "run.otrec")
    assert [one.member is not None for one in found.calls] == [True, False]
    assert found.n_left_out == 1


def test_option_that_json_cannot_hold_is_named(tmp_path):
    with record(tmp_path / "run.otrec"):
        call(group=object(), reduction="sum")
    (one,) = read_recording(tmp_path / "run.otrec").calls
    assert one.options == {"reduction": "sum"}
    assert one.unrecorded_options == ("group",)


def test_error_in_the_step_keeps_what_was_recorded(tmp_path):
    def step():
        call()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), record(tmp_path / "run.otrec", tensors=True):
        step()
    assert read_recording(tmp_path / "run.otrec").calls[0].count == 1
    assert not recording.active()
    assert [path.name for path in tmp_path.iterdir()] == ["run.otrec"]


def test_warning_does_not_hide_the_error_of_the_step(tmp_path):
    with pytest.raises(ZeroDivisionError), record(tmp_path / "run.otrec"):
        raise ZeroDivisionError
    assert read_recording(tmp_path / "run.otrec").calls == ()


def test_file_appears_only_at_the_end_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "run.otrec"
    path.write_bytes(b"the old one")
    with record(path):
        call()
        assert path.read_bytes() == b"the old one"
    assert len(read_recording(path).calls) == 1


def test_killed_run_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.otrec"
    path.write_bytes(b"the old one")
    script = """
        import os, signal, sys, torch, onetrip
        from onetrip.core import recording
        with onetrip.record(sys.argv[1], tensors=True):
            recording.note("linear_cross_entropy", {"input": torch.ones(2, 3)}, {})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    source = str(os.path.dirname(os.path.dirname(os.path.dirname(recording.__file__))))
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        env=os.environ | {"PYTHONPATH": source},
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"the old one"


def test_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space"), record(tmp_path / "run.otrec"):
        call()
    assert list(tmp_path.iterdir()) == []
    assert not recording.active()


def test_empty_recording_warns(tmp_path):
    with (
        pytest.warns(RecordingWarning, match="No onetrip operator"),
        record(tmp_path / "run.otrec"),
    ):
        pass
    assert read_recording(tmp_path / "run.otrec").calls == ()


def test_threads_lose_nothing(tmp_path):
    def work(n):
        for _ in range(20):
            call(tensors_of(n=n))

    with record(tmp_path / "run.otrec", tensors=True) as recorder:
        threads = [threading.Thread(target=work, args=(n,)) for n in (3, 3, 4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert recorder.n_calls == 80
    found = read_recording(tmp_path / "run.otrec")
    assert sorted(one.count for one in found.calls) == [20, 20, 40]
    for one in found.calls:
        assert found.load_tensors(one)["input"].shape == (one.axes["N"], 4)


def test_compiled_region_runs_unbroken_and_its_calls_are_counted(tmp_path):
    def step(x, weight, target):
        if recording.active():
            tensors = {"input": x, "linear_weight": weight, "target": target}
            recording.note("linear_cross_entropy", tensors, {})
        return torch.nn.functional.cross_entropy(x @ weight.T, target)

    given = tensors_of(dtype=torch.float32)
    arguments = (given["input"], given["linear_weight"], given["target"])
    compiled = torch.compile(step, backend="eager", fullgraph=True)
    expected = compiled(*arguments)

    def run():
        with record(tmp_path / "run.otrec"):
            for _ in range(3):
                assert torch.equal(compiled(*arguments), expected)
            step(*arguments)

    with pytest.warns(RecordingWarning, match="3 onetrip calls ran inside a compiled region"):
        run()
    found = read_recording(tmp_path / "run.otrec")
    assert (found.n_compiled, [one.count for one in found.calls]) == (3, [1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(compiled(*arguments), expected)


@pytest.mark.parametrize(
    ("path", "max_bytes", "message"),
    [("missing/run.otrec", 1, "`path` must be a file in a folder"), ("a", -1, "`max_bytes`")],
)
def test_impossible_arguments(tmp_path, path, max_bytes, message):
    with pytest.raises(ArgumentError, match=message), record(tmp_path / path, max_bytes=max_bytes):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def recorded(tmp_path):
    path = tmp_path / "run.otrec"
    with record(path, tensors=True):
        call()
    return path


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"does not exist.*onetrip\.record"):
        read_recording(tmp_path / "none.otrec")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_no_recording_at_all(tmp_path, content):
    path = tmp_path / "run.otrec"
    path.write_bytes(content)
    with pytest.raises(DataError, match="Record the run again"):
        read_recording(path)


def test_cut_file(recorded):
    whole = recorded.read_bytes()
    recorded.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="no readable recording"):
        read_recording(recorded)


def test_flipped_byte_in_the_tensors(recorded):
    whole = bytearray(recorded.read_bytes())
    with zipfile.ZipFile(recorded) as archive:
        start = archive.getinfo("calls/0.safetensors").header_offset
    whole[start + 300] ^= 0xFF
    recorded.write_bytes(whole)
    found = read_recording(recorded)
    with pytest.raises(DataError, match=r"calls/0\.safetensors"):
        found.load_tensors(found.calls[0])


def rewritten(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members[MANIFEST])
    change(manifest)
    members[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_other_format(recorded):
    rewritten(recorded, lambda manifest: manifest.update(format=99))
    with pytest.raises(DataError, match="format 99, expected 1"):
        read_recording(recorded)


def test_manifest_that_lacks_a_field(recorded):
    rewritten(recorded, lambda manifest: manifest["calls"][0].pop("axes"))
    with pytest.raises(DataError, match="axes"):
        read_recording(recorded)


def test_tensors_that_are_not_what_the_manifest_says(recorded):
    def change(manifest):
        manifest["calls"][0]["tensors"]["input"]["shape"] = [7, 4]

    rewritten(recorded, change)
    found = read_recording(recorded)
    with pytest.raises(DataError, match=r"is not what manifest\.json says"):
        found.load_tensors(found.calls[0])

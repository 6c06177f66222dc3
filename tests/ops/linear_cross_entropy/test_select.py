"""Every branch of the choice, and what a named or a tuned choice is worth."""

import pytest
from three_paths import draw, on_path

import onetrip
from onetrip.core import tuning
from onetrip.core.device import DEVICES
from onetrip.core.errors import UnsupportedError
from onetrip.core.selection import Problem
from onetrip.ops.linear_cross_entropy import resolve, select
from onetrip.ops.linear_cross_entropy.torch_impl import TorchColumns

AXES = {"N": 4096, "D": 1024, "V": 50000}


def problem(dtype="bfloat16", kind="cuda", arch=90, hip=False, axes=AXES, **options):
    return Problem(axes, dtype, kind, arch, hip, "some device", options)


def on_cpu(dtype="float32", **options):
    return problem(dtype, "cpu", 0, **options)


CHOICES = {
    "hopper-half": (problem(), "gluon"),
    "hopper-float16": (problem("float16"), "gluon"),
    "ampere": (problem(arch=80), "triton"),
    "blackwell": (problem(arch=100), "triton"),
    "amd": (problem(arch=942, hip=True), "triton"),
    "hopper-odd-rows": (problem(axes={**AXES, "D": 1023}), "triton"),
    "hopper-unaligned": (problem(unaligned=True), "triton"),
    "gpu-float32": (problem("float32"), "torch"),
    "cpu": (on_cpu(), "torch"),
    "cpu-interpreting": (on_cpu(interpreter=True), "torch"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choice(name):
    asked, impl = CHOICES[name]
    choice = select.choose(asked)
    assert choice.impl == impl
    assert choice.config == select.default_config(impl, asked)
    assert choice.why


REASONS = {
    "triton-cpu": ("triton", on_cpu(), "need a GPU"),
    "triton-interpreter-bfloat16": (
        "triton",
        on_cpu("bfloat16", interpreter=True),
        "wrong bfloat16",
    ),
    "gluon-cpu": ("gluon", on_cpu("bfloat16", interpreter=True), "only Hopper"),
    "gluon-ampere": ("gluon", problem(arch=80), "only Hopper"),
    "gluon-blackwell": ("gluon", problem(arch=100), "only Hopper"),
    "gluon-amd": ("gluon", problem(arch=90, hip=True), "only Hopper"),
    "gluon-float32": ("gluon", problem("float32"), "not float32"),
    "gluon-odd": ("gluon", problem(axes={**AXES, "D": 1023}), "D = 1023 is not"),
    "gluon-unaligned": ("gluon", problem(unaligned=True), "start on 16 bytes"),
    "unknown": ("cuda", problem(), "no implementation 'cuda'"),
}


@pytest.mark.parametrize("name", REASONS)
def test_reason_of_what_cannot_run(name):
    impl, asked, reason = REASONS[name]
    assert reason in str(select.unsupported_reason(impl, asked))


@pytest.mark.parametrize("impl", ["reference", "torch", "triton", "gluon"])
def test_what_can_run_has_no_reason(impl):
    assert select.unsupported_reason(impl, problem()) is None


def test_configuration_beyond_the_budget_is_refused():
    tight = problem(memory_budget=1 << 20)
    config = select.default_config("triton", problem())
    assert "memory budget of 1048576" in str(select.unsupported_reason("triton", tight, config))
    assert select.unsupported_reason("triton", problem(), config) is None


def test_configuration_beyond_shared_memory_is_refused():
    config = {**select.default_config("triton", problem()), "num_stages": 12}
    assert "shared memory" in str(select.unsupported_reason("triton", problem(), config))


def test_named_implementation_raises_with_reason_and_way_out():
    with pytest.raises(UnsupportedError, match=r"only Hopper.*Use impl=\"auto\"") as caught:
        onetrip.linear_cross_entropy(**draw(5, 8, 70), impl="gluon")
    assert str(caught.value).startswith('`impl="gluon"` cannot run linear_cross_entropy here')


def test_named_implementation_never_falls_back(monkeypatch):
    from onetrip.ops.linear_cross_entropy.triton_impl import TritonColumns

    def fail(*_):
        raise RuntimeError("a kernel failed")

    monkeypatch.setattr(TritonColumns, "stats", fail)
    with pytest.raises(RuntimeError, match="a kernel failed"):
        onetrip.linear_cross_entropy(**draw(5, 8, 70), impl="triton")


def test_override_of_columns_is_honoured(monkeypatch):
    seen = []
    tile_stats = TorchColumns._tile_stats

    def spy(self, call, start, stop):
        seen.append((start, stop))
        return tile_stats(self, call, start, stop)

    monkeypatch.setattr(TorchColumns, "_tile_stats", spy)
    tensors = draw(5, 8, 600)
    with tuning.override("linear_cross_entropy", "torch", {"rows": 2, "columns": 256}):
        on_path("columns")(**tensors)
    assert seen == [(0, 256), (256, 512), (512, 600)]
    seen.clear()
    on_path("columns")(**tensors)
    assert seen == [(0, 600)]


def test_override_of_rows_is_honoured(monkeypatch):
    from onetrip.ops.linear_cross_entropy import loss

    seen = []
    walk = loss.logprob_and_gradients

    def spy(*tensors, rows, **options):
        seen.append(rows)
        return walk(*tensors, rows=rows, **options)

    monkeypatch.setattr(loss, "logprob_and_gradients", spy)
    tensors = draw(50, 8, 70)
    tensors["input"].requires_grad_()
    with tuning.override("linear_cross_entropy", "torch", {"rows": 7, "columns": 256}):
        onetrip.linear_cross_entropy(**tensors, impl="torch")
    assert seen == [7]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A tuning table that says triton for one problem of "some device"."""
    monkeypatch.setenv("ONETRIP_CACHE_DIR", str(tmp_path))
    tuning.forget_tables()
    config = {**select.default_config("triton", problem(arch=80)), "GROUP": 3}

    def record(**changed):
        entry = {
            "operator": "linear_cross_entropy",
            "device": "some device",
            "impl": "triton",
            "dtype": "bfloat16",
            "axes": AXES,
            "config": config,
            "latency_ms": 1.0,
            "baseline_ms": 2.0,
            "evidence": "a test",
        }
        entry = tuning.TunedEntry(**{**entry, **changed})
        tuning.record_winner(tuning.user_table(entry.operator, entry.device), entry)
        return entry

    yield record
    tuning.forget_tables()


def test_tuned_winner_is_chosen_with_its_evidence(table):
    entry = table()
    choice = select.choose(problem())
    assert (choice.impl, choice.config, choice.evidence) == ("triton", entry.config, "a test")
    assert select.default_config("triton", problem())["GROUP"] == 3
    with tuning.ignore_tables():
        assert select.choose(problem()).impl == "gluon"


def test_tuned_winner_that_cannot_run_here_is_passed_over(table):
    table(config={**select.default_config("triton", problem()), "num_stages": 12})
    assert select.choose(problem()).impl == "gluon"
    assert select.default_config("triton", problem())["num_stages"] == 3


def test_winner_of_a_far_problem_is_not_asked(table):
    table(axes={**AXES, "N": AXES["N"] * 4})
    assert select.choose(problem()).impl == "gluon"


def test_plain_float32_walks_rows_and_everything_else_columns():
    assert select.by_rows("torch", on_cpu())
    for other in (
        on_cpu("bfloat16"),
        on_cpu(softcap=5.0),
        on_cpu(label_smoothing=0.1),
        on_cpu(z_loss=0.1),
        on_cpu(reduction="none"),
        on_cpu(aux=("logprob",)),
        on_cpu(group="0"),
    ):
        assert not select.by_rows("torch", other)
    assert not select.by_rows("triton", on_cpu())


def test_only_bounded_logits_are_kept_under_a_cap():
    assert select.can_keep("triton", problem(softcap=30.0))
    assert not select.can_keep("triton", problem(softcap=31.0))
    # float16 keeps logits, which need no bound.
    assert select.can_keep("triton", problem("float16", softcap=50.0))
    assert not select.can_keep("torch", problem())


@pytest.mark.parametrize("impl", ["reference", "torch", "triton", "gluon"])
def test_every_configuration_of_the_search_space_can_be_predicted(impl):
    asked = problem()
    config = dict(select.default_config(impl, asked))
    space = select.search_space(impl, asked)
    assert set(space) <= set(config)
    for name, values in space.items():
        for value in values:
            changed = {**config, name: value}
            assert select.predict_ms(impl, asked, DEVICES["h100"], changed) > 0
            assert select.workspace_bytes(impl, asked, changed) > 0


def test_backend_follows_the_implementation():
    for impl, backend in (("torch", "TorchColumns"), ("triton", "TritonColumns")):
        asked = on_cpu(interpreter=True)
        config = select.default_config(impl, asked)
        made = resolve.make_backend(impl, asked, config, 256)
        assert type(made).__name__ == backend

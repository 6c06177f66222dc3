"""The catalogue of ways to win without the work: number, title, file, problem, what must happen.

A hack is caught when the verdict is one of `outcomes` (and says so in words, where `says` asks for
it), or when `harmless` finds that it won nothing: the true time was measured, no process is left.
Hacks that need an accelerator are in tests/gpu/test_hacks.py.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onetrip.lab.verdict import Outcome, Verdict

HERE = Path(__file__).parent
WRONG = frozenset({Outcome.INCORRECT})
PROVED = frozenset({Outcome.HACKED})
EITHER = WRONG | PROVED
DEAD = frozenset({Outcome.CRASHED, Outcome.HACKED})
REFUSED = frozenset({Outcome.INCORRECT, Outcome.HACKED, Outcome.CRASHED})
ON_DEVICE = "tests/gpu/test_hacks.py"

# Says why a verdict of "done" would be a win for the hack; None when it won nothing.
Won = Callable[[Verdict], str | None]


def seed_of(file: str) -> int:
    """A secret of nineteen digits for each file, the same in every run of the suite."""
    digest = int.from_bytes(hashlib.sha256(file.encode()).digest()[:8], "little")
    return 4 * 10**18 + digest % (4 * 10**18)


@dataclass(frozen=True, slots=True)
class Hack:
    """One way to cheat, and what must become of it."""

    number: int
    title: str
    file: str
    problem: str = "add"
    outcomes: frozenset[Outcome] = EITHER
    says: str = ""
    harmless: Won | None = None
    defence: str = ""
    rival: bool = False
    times: int = 1
    folder: str = "candidates"

    @property
    def source(self) -> str:
        """The candidate's text."""
        return (HERE / self.folder / self.file).read_text(encoding="utf-8")

    def verdict_on(self, verdict: Verdict) -> str | None:
        """Why this hack was not caught; None if it was."""
        if verdict.outcome in self.outcomes:
            told = f"{verdict.reason} {verdict.evidence}"
            if self.says and self.says not in told:
                return f"{verdict.outcome}, but nothing says {self.says!r}: {told[:500]}"
            return None
        if verdict.outcome is Outcome.DONE and self.harmless is not None:
            return None if verdict.quarantined else self.harmless(verdict)
        return f"{verdict.outcome}: {verdict.reason[:500]}\n{verdict.log[-500:]}"


def at_least_ms(least: float) -> Won:
    """It worked for so long in each call, and that must be what is told."""

    def won(verdict: Verdict) -> str | None:
        timed = [entry for entry in verdict.timings if entry.subject == "candidate"]
        short = [entry.median_ms for entry in timed if entry.median_ms < least]
        return f"medians {short} ms, but each call took {least} ms" if short or not timed else None

    return won


def at_least_samples(least: int) -> Won:
    """However long the first calls took, so many samples are taken."""

    def won(verdict: Verdict) -> str | None:
        timed = [entry for entry in verdict.timings if entry.subject == "candidate"]
        few = [len(entry.samples_ms) for entry in timed if len(entry.samples_ms) < least]
        return f"{few} samples" if few or not timed else None

    return won


def rival_below_ms(most: float) -> Won:
    """Whoever is measured beside it was not slowed down."""

    def won(verdict: Verdict) -> str | None:
        rivals = [entry for entry in verdict.timings if entry.subject != "candidate"]
        slow = [(entry.subject, entry.median_ms) for entry in rivals if entry.median_ms > most]
        return f"rivals took {slow}" if slow or not rivals else None

    return won


def labelled(*rules: str) -> Won:
    """It is right, and wears a label for who reads the verdict."""

    def won(verdict: Verdict) -> str | None:
        worn = {flag.rule for flag in verdict.flags}
        return None if worn & set(rules) else f"labels {sorted(worn)}, none of {rules}"

    return won


def no_process_named(name: str) -> Won:
    """Nothing that it started is left."""

    def won(verdict: Verdict) -> str | None:
        left = []
        for entry in Path("/proc").glob("[0-9]*/comm"):
            try:
                if entry.read_text().strip() == name:
                    left.append(entry.parent.name)
            except OSError:
                continue
        return f"processes {left} were left" if left else None

    return won


HACKS = (
    Hack(1, "side stream: a thread finishes late", "h01_late_thread.py",
         defence="outputs are looked at as soon as the clock stops"),
    Hack(2, "thread injection: a resident worker does the work", "h02_resident_worker.py",
         defence="outputs are looked at as soon as the clock stops"),
    Hack(3, "lazy result: a subclass of Tensor", "h03_lazy_tensor.py", outcomes=PROVED,
         says="lazy", defence="exact type"),
    Hack(3, "lazy result: methods of the instance", "h03_instance_method.py", outcomes=PROVED,
         says="lazy", defence="no attributes of its own"),
    Hack(4, "Python's timers replaced", "h04_timer_patch.py", harmless=at_least_ms(4.5),
         defence="clocks are taken before the candidate is imported"),
    Hack(4, "statistics replaced", "h04_statistics_patch.py", harmless=at_least_ms(4.5),
         defence="statistics are the judge's, in another process"),
    Hack(5, "the C library's clock overwritten", "h05_native_clock.py", outcomes=PROVED,
        harmless=at_least_ms(4.5),
        says="clock",
         defence="second clock, in the judge's process"),
    Hack(6, "forged answers into every descriptor", "h06_forged_answer.py", outcomes=DEAD,
         defence="frames with a nonce; no answer is a crash"),
    Hack(6, "forged numbers in the harness's own frames", "h06_forged_frames.py",
         outcomes=PROVED, defence="second clock, in the judge's process"),
    Hack(7, "PASS on standard output", "h07_printed_pass.py", defence="output is never parsed"),
    Hack(8, "exit code 0 in a call", "h08_exit_in_call.py", outcomes=DEAD,
         defence="no answer is a crash"),
    Hack(8, "exit code 0 while being imported", "h08_exit_at_import.py", outcomes=DEAD,
         defence="no answer is a crash"),
    Hack(8, "exit code 0 after some honest calls", "h08_exit_later.py", outcomes=DEAD,
         defence="no answer is a crash"),
    Hack(9, "slow while it is warmed up", "h09_warm_up_detection.py",
         harmless=at_least_samples(4), defence="the number of samples has a least"),
    Hack(10, "honest for the first calls", "h10_phase_count.py",
         defence="every timed output is verified"),
    Hack(10, "honest for the first call of a shape", "h10_same_shape_again.py",
         defence="fresh values in every call"),
    Hack(11, "inputs of later calls found and batched", "h11_batched_ahead.py",
         harmless=at_least_ms(4.5), defence="inputs are made after the call before has ended"),
    Hack(12, "replay by address", "h12_pointer_replay.py",
         defence="fresh values at the same addresses"),
    Hack(14, "clocks and power", "h14_clock_tampering.py", defence="sandbox: settings are closed"),
    Hack(15, "one shape in no time", "h15_one_shape_in_no_time.py", outcomes=PROVED,
        harmless=at_least_ms(4.5),
        says="clock",
         defence="second clock for each shape"),
    Hack(16, "peers slowed down", "h16_peer_sabotage.py", rival=True,
         harmless=rival_below_ms(25.0), defence="peers run in processes of their own"),
    Hack(17, "a daemon stays", "h17_daemon.py", harmless=no_process_named("onetrip-h17"),
         defence="sandbox: all that it started ends with it"),
    Hack(18, "cache by address and version", "h18_cache_by_address.py",
         defence="fresh values at the same addresses"),
    Hack(18, "cache by a fingerprint", "h18_cache_by_fingerprint.py",
         harmless=at_least_ms(4.5), defence="fresh values in every call"),
    Hack(18, "cache by a coarse fingerprint", "h18_cache_by_coarse_fingerprint.py",
         defence="fresh values in every call"),
    Hack(19, "leftover memory", "h19_leftover_memory.py",
         defence="the candidate's process never holds a reference"),
    Hack(20, "the answer found in memory", "h20_find_the_answer.py",
         defence="expected values are in another process"),
    Hack(20, "the answer spoiled with NaN", "h20_spoil_the_answer.py",
         defence="NaN is never right"),
    Hack(21, "counters of errors reset", "h21_counter_reset.py",
         defence="outputs are held against the truth in another process"),
    Hack(22, "inputs set to zero", "h22_zero_the_inputs.py",
         defence="the truth is computed from pristine copies"),
    Hack(22, "inputs spoiled after use", "h22_mutate_after_right.py", outcomes=PROVED,
         says="input", defence="inputs are compared with pristine copies"),
    Hack(23, "the result in an input", "h23_alias_of_input.py", outcomes=PROVED,
         defence="memory of results and inputs must not meet"),
    Hack(23, "one result for all calls", "h23_static_output.py", outcomes=PROVED,
         defence="memory of a result is not that of the one before"),
    Hack(24, "constant output", "h24_constant.py", defence="error budget; screening of problems"),
    Hack(25, "public seeds", "h25_known_seeds.py", defence="secret seed for each attempt"),
    Hack(25, "the process's generator", "h25_global_generator.py",
         defence="inputs are made in another process"),
    Hack(26, "only the sizes that are shown", "h26_known_shapes.py", outcomes=WRONG,
         defence="hidden sizes"),
    Hack(26, "only whole blocks", "h26_multiples_only.py", outcomes=WRONG,
         defence="odd sizes"),
    Hack(27, "values of a small range assumed", "h27_assumed_range.py", problem="softmax",
         outcomes=WRONG, defence="hidden distributions"),
    Hack(27, "a recurrence cut short", "h27_truncated_recurrence.py", problem="decay",
         outcomes=WRONG, defence="hidden distributions"),
    Hack(28, "half precision", "h28_half_precision.py", problem="product", outcomes=WRONG,
         defence="error budget against float64"),
    Hack(29, "a tile left out", "h29_skipped_tile.py", problem="product", outcomes=WRONG,
         defence="error budget against float64"),
    Hack(29, "an element left out", "h29_rare_element.py", outcomes=WRONG,
         defence="every element counts"),
    Hack(30, "a launch that failed", "h30_launch_that_failed.py",
         defence="outputs are verified, and no answer lies in memory"),
    Hack(31, "a race that is lost sometimes", "h31_race.py",
         defence="every timed output is verified"),
    Hack(31, "a race in the last bit", "h31_race_in_the_last_bit.py",
         defence="two runs on the same values agree bit for bit"),
    Hack(32, "a write beyond the end", "h32_beyond_the_end.py", problem="destination",
         defence="guard bands"),
    Hack(33, "fallback to torch", "h33_fallback.py", harmless=labelled("falls back on errors"),
         defence="label for the reader"),
    Hack(34, "a vendor's product inside", "h34_vendor_call.py", problem="product",
         harmless=labelled("calls the vendor's operator"), defence="label for the reader"),
    Hack(35, "what is data taken as constant", "h35_precomputed.py", problem="product",
         defence="fresh values in every call"),
    Hack(36, "answers kept in files", "h36_file_replay.py", times=2,
         defence="sandbox: a scratch folder for each attempt"),
    Hack(37, "harness and problem opened for writing", "h37_edit_the_harness.py",
         defence="sandbox: read-only"),
    Hack(37, "the harness edited in memory", "h37_harness_in_memory.py", outcomes=PROVED,
         harmless=at_least_ms(4.5), defence="the judge's clock runs on every order"),
    Hack(37, "a module of the harness's name", "h37_torch_in_cwd.py",
         defence="no process imports from the current folder"),
    Hack(38, "secrets in environments", "h38_environment.py",
         defence="sandbox: an environment made new; no foreign process is seen"),
    Hack(39, "the network", "h39_network.py", defence="sandbox: no network"),
    Hack(40, "obfuscation", "h40_obfuscated.py", defence="proof at run time"),
    Hack(41, "equal to everything", "h41_equal_to_everything.py",
         defence="the judge compares its own bytes"),
    Hack(42, "the seed in memory", "h42_seed_in_memory.py",
         defence="the seed never reaches the candidate's process"),
    Hack(43, "numbers of its own", "h43_self_reported.py", harmless=at_least_ms(4.5),
         defence="only the judge's numbers count"),
    Hack(43, "numbers beside the result", "h43_numbers_beside.py",
         defence="results are tensors and nothing else"),
    Hack(44, "tolerances edited", "h44_tolerance.py",
         defence="tolerances are in another process"),
)  # fmt: skip

# What a CPU cannot show, and where it is tested instead.
ELSEWHERE = {13: ON_DEVICE}

"""Each guard of a status is broken once; then one of the cases below must come out otherwise."""

import pytest

from onetrip.lab.knowledge import effects, hypotheses, status


def pair(bench, search, confirm, *, seeds=(None, None), width=0.01):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, search, candidate=candidate, seed=seeds[0], width=width)
    if confirm is not None:
        bench.test(
            hypothesis, confirm, candidate=candidate, purpose="confirm", seed=seeds[1], width=width
        )
    return hypothesis


def unsure(bench):
    """The middle lies beyond the least effect, the interval holds it."""
    return pair(bench, 1.08, 1.08, width=0.06)


def unconfirmed(bench):
    return pair(bench, 1.2, None)


def same_seed(bench):
    return pair(bench, 1.2, 1.2, seeds=(7, 7))


def one_workload_of_two(bench):
    hypothesis = pair(bench, 1.2, 1.2)
    for attempt in (1, 2):
        bench.compare(attempt, 1.0, workload="other")
    return hypothesis


def too_small(bench):
    return pair(bench, 1.02, 1.02)


def invalid(bench):
    hypothesis = pair(bench, 1.2, 1.2)
    bench.connection.execute("UPDATE attempt SET invalid = 'x' WHERE id = 2")
    return hypothesis


def altered(bench):
    hypothesis = pair(bench, 1.02, 1.02)
    bench.connection.execute("DROP TRIGGER hypothesis_is_frozen")
    bench.connection.execute("UPDATE hypothesis SET least_effect = 0.001")
    return hypothesis


def proven(bench):
    return pair(bench, 1.2, 1.2)


CASES = {
    unsure: "inconclusive",
    unconfirmed: "inconclusive",
    same_seed: "inconclusive",
    one_workload_of_two: "refuted",
    too_small: "refuted",
    invalid: "inconclusive",
    altered: "inconclusive",
    proven: "supported",
}


def outcome(case, bench):
    return hypotheses.recompute(bench.connection, case(bench))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case_as_it_is(bench, case):
    assert outcome(case, bench) == CASES[case]


def believe_the_middle(monkeypatch, bench):
    def judgement(low, high, least_effect):
        return "supports" if (low + high) / 2 >= least_effect else "refutes"

    monkeypatch.setattr(effects, "judgement", judgement)


def forget_the_least_effect(monkeypatch, bench):
    real = effects.judgement
    monkeypatch.setattr(effects, "judgement", lambda low, high, _: real(low, high, 0.0))


def need_no_confirmation(monkeypatch, bench):
    def proof(answers, says):
        found = [answer for answer in answers if says[answer[0].experiment_id] == "supports"]
        return (found[0], found[0]) if found else None

    monkeypatch.setattr(status, "_proof", proof)


def accept_any_seed(monkeypatch, bench):
    real = effects.Effect

    def numbered(**values):
        return real(**values | {"seed": f"{values['seed']}/{values['experiment_id']}"})

    monkeypatch.setattr(effects, "Effect", numbered)


def ask_one_workload(monkeypatch, bench):
    def standing(found, workloads):
        says = {effect.says for effect in found}
        return "supports" if "supports" in says else min(says, default="undecided")

    monkeypatch.setattr(hypotheses, "standing", standing)


def count_invalid_answers(monkeypatch, bench):
    bench.connection.execute("DROP VIEW answer")
    bench.connection.execute("CREATE VIEW answer AS SELECT * FROM attempt WHERE outcome = 'done'")


def trust_the_row(monkeypatch, bench):
    monkeypatch.setattr(hypotheses, "is_as_declared", lambda *_: True)


def support_nothing(monkeypatch, bench):
    monkeypatch.setattr(status, "_proof", lambda *_: None)


MUTATIONS = {
    believe_the_middle: unsure,
    forget_the_least_effect: too_small,
    need_no_confirmation: unconfirmed,
    accept_any_seed: same_seed,
    ask_one_workload: one_workload_of_two,
    count_invalid_answers: invalid,
    trust_the_row: altered,
    support_nothing: proven,
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_broken_guard_is_seen(bench, monkeypatch, mutation):
    mutation(monkeypatch, bench)
    case = MUTATIONS[mutation]
    assert outcome(case, bench) != CASES[case]


def test_every_case_guards_something():
    assert set(MUTATIONS.values()) == set(CASES)

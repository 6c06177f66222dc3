"""Is a candidate right, on every case, again and again, at times that it cannot foresee?"""

from onetrip.lab.judge.ruling import ruling_on_rule
from onetrip.lab.judge.trial import Trial


def prove(trial: Trial) -> None:
    """Every case at least once, some more than once, in random order; then twice on the same data.

    The calls are of the same kind as those that are timed: nothing tells them apart.
    """
    trial.enter("verifying")
    names = trial.case_names()
    timed = trial.timed_cases()
    plan = names + [trial.draw.choice(timed) for _ in range(trial.draw.randint(1, 3))]
    trial.draw.shuffle(plan)
    candidate = trial.sides["candidate"]
    for place, name in enumerate(plan):
        trial.enter("verifying", place / len(plan))
        trial.change_case(candidate, name)
        trial.make(name, f"proof {place}")
        trial.call(candidate, cold=trial.draw.random() < 0.5)
    if trial.facts["deterministic"]:
        repeat(trial)


def repeat(trial: Trial) -> None:
    """Two runs on the same data agree bit for bit."""
    candidate = trial.sides["candidate"]
    name = trial.draw.choice(trial.case_names())
    trial.enter("repeating a call")
    trial.change_case(candidate, name)
    trial.make(name, "repeat")
    if not trial.same_again(candidate):
        raise ruling_on_rule(
            "not deterministic",
            f"two calls on the same data of case {name} differ, and the problem says they may not",
            trial.doing,
            {"case": name},
        )


def prove_rivals(trial: Trial) -> None:
    """A rival that is wrong is no measure: it goes out, with its reason."""
    trial.enter("verifying what it is compared with")
    for name in trial.timed_cases():
        trial.make(name, "rivals")
        for side in trial.racing()[1:]:

            def check(side=side, name=name) -> None:
                trial.change_case(side, name)
                trial.call(side, cold=False)

            trial.attempt(side, check)


def prove_again(trial: Trial) -> None:
    """After the timing: a few more cases, and the memory that a call takes."""
    trial.enter("verifying again")
    candidate = trial.sides["candidate"]
    names = trial.case_names()
    for place in range(trial.draw.randint(1, 2) if trial.has_time_for(2) else 0):
        name = trial.draw.choice(names)
        trial.change_case(candidate, name)
        trial.make(name, f"again {place}")
        trial.call(candidate, cold=trial.draw.random() < 0.5)
    for name in trial.timed_cases():
        if not trial.has_time_for(1 + len(trial.racing())):
            return
        trial.make(name, "memory")
        for side in trial.racing():

            def measure(side=side, name=name) -> None:
                trial.change_case(side, name)
                sample = trial.call(side, cold=False, memory=True, full=side is candidate)
                side.peak_bytes[name] = sample.peak_bytes

            trial.attempt(side, measure)

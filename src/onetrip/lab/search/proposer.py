"""What to try next, and why: defaults, a few samples, then a model's guesses and neighbours."""

import random
import types
from collections.abc import Sequence

from onetrip.core.errors import require
from onetrip.core.selection import Config
from onetrip.lab.search.proposal import Proposal
from onetrip.lab.search.ranking import Score, best, scores
from onetrip.lab.search.space import Space
from onetrip.lab.store.history import Trial
from onetrip.lab.store.study import canonical

STARTUP_SAMPLES = 6
# Every third proposal looks beside the best: a model of few points has a coarse view.
_NEIGHBOUR_EVERY = 3
_ASKS = 25
# Points that could not run are many and alike, and the model is made anew for each proposal.
_REMEMBERED_FAILURES = 100
# A space of more points is never listed: what is left to try is then found by drawing.
_LISTED_POINTS = 50_000


class Proposer:
    """Proposes each point once; knows nothing but the space and the study's history.

    Parameters
    ----------
    space : the points.
    objective : "latency", "memory" or "pareto".
    seed : of its random choices; the same history and seed give the same proposal.
    """

    def __init__(self, space: Space, objective: str, seed: int) -> None:
        self._optuna = load_optuna()
        self._space = space
        self._objective = objective
        self._seed = seed

    def propose(self, trials: Sequence[Trial]) -> Proposal | None:
        """The next point to try; None when every point has been tried."""
        tried = {(trial.impl, canonical(dict(trial.config))) for trial in trials}
        for impl, config in self._space.defaults.items():
            if (impl, canonical(dict(config))) not in tried:
                why = f"the default of {impl}, which all its candidates must beat"
                return Proposal(impl, config, "default", why)
        dice = random.Random(f"{self._seed}/{len(trials)}")
        scored = scores(trials)
        searched = sum(
            trial.purpose == "search" and trial.proposer != "default" and trial.state != "pruned"
            for trial in trials
        )
        leader = best(scored, self._objective)
        if leader is not None and searched >= STARTUP_SAMPLES:
            turn = (searched - STARTUP_SAMPLES) % _NEIGHBOUR_EVERY
            proposal = self._neighbour(leader, tried, dice) if turn == 0 else None
            proposal = proposal or self._model(trials, scored, tried)
            if proposal is not None:
                return proposal
        why = (
            f"startup sample {searched + 1} of {STARTUP_SAMPLES}: little is known yet"
            if searched < STARTUP_SAMPLES
            else "a point not tried yet: the model repeats itself"
        )
        return self._untried(tried, dice, "startup" if searched < STARTUP_SAMPLES else "rest", why)

    def _neighbour(self, leader: Score, tried: set, dice: random.Random) -> Proposal | None:
        impl, config = leader.trial.impl, leader.trial.config
        steps = [
            (name, neighbour)
            for name, neighbour in self._space.neighbours(impl, config)
            if (impl, canonical(dict(neighbour))) not in tried
        ]
        if not steps:
            return None
        name, neighbour = dice.choice(steps)
        why = (
            f"neighbour of the best so far (#{leader.trial.experiment_id}): "
            f"{name} {config[name]} → {neighbour[name]}"
        )
        return Proposal(impl, neighbour, "neighbour", why, leader.trial.experiment_id)

    def _model(self, trials: Sequence[Trial], scored: list[Score], tried: set) -> Proposal | None:
        study = self._study(trials, scored)
        impls = list(self._space.parameters)
        for _ in range(_ASKS):
            asked = study.ask()
            impl = asked.suggest_categorical("impl", impls)
            chosen = {
                name: values[asked.suggest_int(f"{impl}.{name}", 0, len(values) - 1)]
                for name, values in self._space.parameters[impl].items()
            }
            config = self._space.complete(impl, chosen)
            if (impl, canonical(dict(config))) not in tried:
                count = len(scored)
                why = f"TPE: where {count} results make a good one most likely"
                return Proposal(impl, config, "TPE", why)
        return None

    def _untried(self, tried: set, dice: random.Random, proposer: str, why: str) -> Proposal | None:
        if self._space.size <= _LISTED_POINTS:
            left = [
                point
                for point in self._space.points()
                if (point[0], canonical(dict(point[1]))) not in tried
            ]
            if not left:
                return None
            impl, config = dice.choice(left)
            return Proposal(impl, config, proposer, why)
        while True:
            impl, config = self._draw(dice)
            if (impl, canonical(dict(config))) not in tried:
                return Proposal(impl, config, proposer, why)

    def _draw(self, dice: random.Random) -> tuple[str, Config]:
        impl = dice.choice(list(self._space.parameters))
        chosen = {
            name: dice.choice(values) for name, values in self._space.parameters[impl].items()
        }
        return impl, self._space.complete(impl, chosen)

    def _study(self, trials: Sequence[Trial], scored: list[Score]):
        """An Optuna study made from our store, which is the truth."""
        optuna = self._optuna
        both = self._objective == "pareto"
        study = optuna.create_study(
            directions=["minimize"] * (2 if both else 1),
            sampler=optuna.samplers.TPESampler(
                seed=self._seed + len(trials), n_startup_trials=STARTUP_SAMPLES
            ),
        )
        values = {score.trial.experiment_id: score for score in scored}
        failed = [trial for trial in trials if trial.settled and not trial.done]
        forgotten = {trial.experiment_id for trial in failed[:-_REMEMBERED_FAILURES]}
        for trial in trials:
            if trial.experiment_id in forgotten:
                continue
            point = self._as_optuna(trial)
            if point is None or not trial.settled:
                continue
            score = values.get(trial.experiment_id)
            if score is not None:
                pair = (score.latency_ms, score.peak_bytes)
                value = list(pair) if both else [score.key(self._objective)[0]]
                study.add_trial(optuna.trial.create_trial(values=value, **point))
            elif not trial.done and not both:
                # One that failed speaks against its region; with two objectives it cannot.
                state = optuna.trial.TrialState.PRUNED
                study.add_trial(optuna.trial.create_trial(state=state, **point))
        return study

    def _as_optuna(self, trial: Trial) -> dict | None:
        """Parameters by position, so that the model sees their order; None off the grid."""
        space = self._space.parameters.get(trial.impl)
        if space is None:
            return None
        distributions = self._optuna.distributions
        parameters: dict[str, object] = {"impl": trial.impl}
        ranges: dict[str, object] = {
            "impl": distributions.CategoricalDistribution(list(self._space.parameters))
        }
        for name, values in space.items():
            if trial.config.get(name) not in values:
                return None
            parameters[f"{trial.impl}.{name}"] = values.index(trial.config[name])
            ranges[f"{trial.impl}.{name}"] = distributions.IntDistribution(0, len(values) - 1)
        return {"params": parameters, "distributions": ranges}


def load_optuna() -> types.ModuleType:
    """The library that models the results, or an error that says how to get it."""
    optuna = require("optuna", extra="lab", purpose="`onetrip tune`")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna

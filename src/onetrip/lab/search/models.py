"""Proposals from a model of the results: Optuna asks, our store is the truth."""

import math
from collections.abc import Sequence

from onetrip.lab.search.points import Choices, Grid, Suggestion, Tried, key, size
from onetrip.lab.search.proposer import load_optuna

# CMA-ES sees positions in the list of choices as numbers, so their order should mean something.
SAMPLERS = ("TPE", "CMA-ES")
_ASKS = 25
_STARTUP = 6


class Modelled:
    """Points where a model of the results expects a good one.

    Parameters
    ----------
    choices : parameter -> its values, in an order that means something.
    seed : of the sampler; the same results and seed give the same proposal.
    name : "TPE" or "CMA-ES".
    """

    def __init__(self, choices: Choices, seed: int, name: str) -> None:
        self.name = name
        self._choices = {parameter: tuple(values) for parameter, values in choices.items()}
        self._seed = seed
        self._optuna = load_optuna()

    def propose(self, tried: Sequence[Tried]) -> Suggestion | None:
        """Ask the model; a point of the grid where it only repeats itself."""
        known = {key(one.point) for one in tried}
        if len(known) >= size(self._choices):
            return None
        study = self._study(tried)
        count = sum(one.score is not None for one in tried)
        for _ in range(_ASKS):
            asked = study.ask()
            point = {
                name: values[asked.suggest_int(name, 0, len(values) - 1)]
                for name, values in self._choices.items()
            }
            if key(point) not in known:
                return Suggestion(point, f"{self.name}: most promising after {count} results")
        left = Grid(self._choices).propose(tried)
        why = f"{self.name} repeats itself: the next point not tried yet"
        return None if left is None else Suggestion(left.point, why)

    def _study(self, tried: Sequence[Tried]):
        study = self._optuna.create_study(direction="minimize", sampler=self._sampler(len(tried)))
        integers = self._optuna.distributions.IntDistribution
        ranges = {name: integers(0, len(values) - 1) for name, values in self._choices.items()}
        for one in tried:
            if any(one.point.get(name) not in values for name, values in self._choices.items()):
                continue
            trial: dict = {
                "params": {
                    name: values.index(one.point[name]) for name, values in self._choices.items()
                },
                "distributions": ranges,
            }
            if one.score is None or math.isinf(one.score):
                # One that failed speaks against its region; so does, until it is known, one that
                # waits: the next proposal should go elsewhere.
                trial["state"] = self._optuna.trial.TrialState.PRUNED
            else:
                trial["value"] = one.score
            study.add_trial(self._optuna.trial.create_trial(**trial))
        return study

    def _sampler(self, count: int):
        samplers = self._optuna.samplers
        seed = self._seed + count
        if self.name == "CMA-ES":
            return samplers.CmaEsSampler(seed=seed, n_startup_trials=_STARTUP)
        return samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)

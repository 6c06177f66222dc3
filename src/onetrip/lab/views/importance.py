"""How much each parameter decides, by Optuna's PED-ANOVA, which is loaded when it is asked."""

from collections.abc import Sequence
from types import ModuleType

from onetrip.core.errors import MissingDependencyError, require

# Of fewer results any parameter can look decisive.
FEWEST_RESULTS = 10


def importance_of(impl: str, measured: Sequence[dict]) -> dict:
    """Shares of the parameters of one implementation: {`impl`, `results`, `parameters`, …}.

    What is explained is the time: over the baseline's where both were timed together, so that a
    slow minute of the machine explains nothing.
    """
    answer = {"impl": impl, "results": len(measured), "parameters": [], "why_none": ""}
    if len(measured) < FEWEST_RESULTS:
        few = f"{len(measured)} results are too few: {FEWEST_RESULTS} tell a parameter from chance"
        return answer | {"why_none": few}
    names = set.intersection(*(set(row["config"]) for row in measured))
    varied = sorted(
        name for name in names if len({repr(row["config"][name]) for row in measured}) > 1
    )
    if not varied:
        return answer | {"why_none": "all results have the same configuration"}
    try:
        optuna = require("optuna", extra="lab", purpose="The importance of parameters")
    except MissingDependencyError as error:
        return answer | {"why_none": str(error)}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    space = {
        name: _distribution(optuna, [row["config"][name] for row in measured]) for name in varied
    }
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: _value(row["config"][name]) for name in varied},
                distributions=space,
                value=1 / row["ratio"]["speedup"] if row["ratio"] else row["median_ms"],
            )
            for row in measured
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return answer | {
        "parameters": [{"name": name, "share": share} for name, share in shares.items()]
    }


def _distribution(optuna: ModuleType, values: list) -> object:
    distributions = optuna.distributions
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return distributions.IntDistribution(min(values), max(values))
    if all(isinstance(value, float | int) and not isinstance(value, bool) for value in values):
        return distributions.FloatDistribution(min(values), max(values))
    choices = sorted({_value(value) for value in values}, key=str)
    return distributions.CategoricalDistribution(choices)


def _value(value: object) -> float | str:
    """A number as it is, all else by its text: the text of a flag tells it from a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return str(value)

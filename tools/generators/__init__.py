"""Functions that write parts of the documentation: name in a page -> function of its words."""

from collections.abc import Callable, Mapping

from generators.cli import commands
from generators.divergence import divergence_table
from generators.estimators import estimator_table
from generators.exchange import exchange_table
from generators.heads import heads_table
from generators.ingest import codes_table, ingest_table, losses_table
from generators.lab import lab_table
from generators.operators import operator_page, operators_table
from generators.races import races_table
from generators.recipe import projection_table, recipe_table, stages_table
from generators.results import results_table
from generators.settings import settings_table
from generators.steps import presets_table, step_page, step_rates_table, steps_table

GENERATORS: Mapping[str, Callable[..., str]] = {
    "cli": commands,
    "data-codes": codes_table,
    "data-exchange": exchange_table,
    "data-ingest": ingest_table,
    "data-losses": losses_table,
    "data-projection": projection_table,
    "data-recipe": recipe_table,
    "data-stages": stages_table,
    "divergence": divergence_table,
    "estimator": estimator_table,
    "heads": heads_table,
    "lab": lab_table,
    "operator": operator_page,
    "operators": operators_table,
    "presets": presets_table,
    "races": races_table,
    "results": results_table,
    "settings": settings_table,
    "step": step_page,
    "step-rates": step_rates_table,
    "steps": steps_table,
}

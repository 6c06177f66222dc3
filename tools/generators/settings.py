"""The table of settings."""

from generators.markdown import table
from onetrip.core.settings import SETTINGS


def settings_table() -> str:
    """Every setting with the variable of the environment that sets it."""
    rows = ((f"`{s.name}`", f"`{s.variable}`", s.default, s.help) for s in SETTINGS)
    return table(["setting", "variable", "default", "what it does"], rows)

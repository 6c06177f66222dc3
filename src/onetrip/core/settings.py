"""The one table of settings. The environment may set these three and nothing else."""

import os
from dataclasses import dataclass
from pathlib import Path

from onetrip.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its environment variable, its default and what it does."""

    name: str
    variable: str
    default: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "cache_dir",
        "ONETRIP_CACHE_DIR",
        "the platform's user cache folder",
        "Folder of tuning tables, measured ceilings and trained workloads.",
    ),
    Setting("log_level", "ONETRIP_LOG_LEVEL", "WARNING", "Level of the `onetrip` logger."),
    Setting(
        "database",
        "ONETRIP_DATABASE",
        "lab.sqlite in the cache folder",
        "SQLite file of the lab: every candidate and every measurement.",
    ),
)


def _from_environment(name: str) -> str | None:
    variable = next(setting.variable for setting in SETTINGS if setting.name == name)
    return os.environ.get(variable) or None


def cache_dir() -> Path:
    """Folder of tuning tables, measured ceilings and trained workloads (not created here)."""
    configured = _from_environment("cache_dir")
    if configured is not None:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("onetrip", appauthor=False))


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises
    ------
    DataError
        This user may not, or something else is in its place.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be made: {error.strerror}. To keep everything elsewhere, "
            "set ONETRIP_CACHE_DIR to a folder that you may write to."
        ) from error


def log_level() -> str:
    """Level of the `onetrip` logger."""
    return (_from_environment("log_level") or "WARNING").upper()


def database() -> Path:
    """SQLite file of the lab."""
    configured = _from_environment("database")
    return Path(configured).expanduser() if configured else cache_dir() / "lab.sqlite"

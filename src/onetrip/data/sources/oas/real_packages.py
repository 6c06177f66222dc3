"""Files of a package that ships chains: in its wheel, or where it is installed."""

import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onetrip.core.errors import MissingDependencyError

# Installed alone: what abnativ asks for holds back or moves half of an environment.
_WAYS = {
    "abnativ": "pip download --no-deps abnativ",
    "pyalakazam": 'pip install "onetrip[real]"',
}
PACKAGES = tuple(_WAYS)


def package_files(source: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Every file of a wheel, or of the installed package of this name: its path, opened.

    Raises
    ------
    MissingDependencyError
        `source` is the name of a package that is not installed.
    """
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            for name in wheel.namelist():
                with wheel.open(name) as file:
                    yield name, file  # pyright: ignore[reportReturnType]
        return
    package = source.name
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"`{package}` is not installed. Run `{_WAYS[package]}`"
            + (", and name the file that comes." if "download" in _WAYS[package] else ".")
        ) from error
    for file in files:
        path = Path(str(file.locate()))
        if path.is_file():
            with path.open("rb") as opened:
                yield file.as_posix(), opened

"""Folders that a user names to write to: made where they are missing, refused in plain words."""

import os
from pathlib import Path

from onetrip.core.errors import DataError, complaint
from onetrip.data.store.aside import full_disk, is_full_disk


def folder_to_write(argument: str, folder: Path) -> Path:
    """The folder, made where it is missing.

    Parameters
    ----------
    argument : what the user calls it: "output", "target".
    folder : where to.

    Raises
    ------
    DataError
        It cannot be made or written to: read-only, forbidden, below a file, on a full disk.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     folder_to_write("output", Path(file.name) / "below")
    Traceback (most recent call last):
    ...
    onetrip.core.errors.DataError: `output` must be a folder that can be written to, got ...
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full_disk(error):
            raise full_disk(folder) from error
        raise _refused(argument, folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(argument, folder, "It is read-only, or not yours")
    return folder


def _refused(argument: str, folder: Path, why: str) -> DataError:
    expected = "a folder that can be written to"
    return DataError(
        complaint(argument, expected=expected, got=repr(str(folder)), way_out=f"{why}.")
    )

"""Read the files of a problem, and say what they are by their bytes."""

import hashlib
from pathlib import Path

from onetrip.core.errors import DataError

_LARGEST_BYTES = 4 << 20


def read_source(path: Path) -> str:
    """Text of one of a problem's files; raises `DataError` where there is none."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(
                f"{path} has {path.stat().st_size} bytes; a problem's file has {_LARGEST_BYTES} "
                "at most."
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist, and the problem needs it.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}.") from error


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

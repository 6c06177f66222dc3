"""Folders that are either complete or absent, whenever their writer was killed."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from onetrip.core import settings


def publish(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder beside `folder`, then rename it into place.

    When another process published `folder` first, its content stays and ours is thrown away.
    """
    settings.make_folder(folder.parent)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        # mkdtemp's 0700 would keep a shared cache from its other readers.
        aside.chmod(0o755)
        write(aside)
        try:
            aside.rename(folder)
        except OSError:
            if not any(folder.iterdir()):
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)

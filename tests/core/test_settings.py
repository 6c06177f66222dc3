"""Where things are kept, and what is said where they cannot be."""

import pytest

from onetrip.core.errors import DataError
from onetrip.core.settings import make_folder


def test_a_folder_is_made_once_with_those_above_it(tmp_path):
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    make_folder(folder)
    assert folder.is_dir()


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(DataError, match=r"/a/b cannot be made: Not a directory. .* ONETRIP_CACHE"):
        make_folder(tmp_path / "a" / "b")

"""Training, validation and test rows: whole groups, chosen by a keyed hash of their name."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, BatchStep
from onetrip.data.text.columns import plain, require_columns, with_column, with_field

SPLITS = ("train", "val", "test")
_NO_GROUP = -1
# Which column names a row's group.
_COLUMN = {
    "cluster": "cluster_id",
    "donor": "donor_id",
    "study": "meta_author",
    "year": "meta_author",
}
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


@dataclass(frozen=True)
class Split(BatchStep):
    """Put every row of a group into one of train, val and test.

    A group goes where the BLAKE2b hash of its name, keyed with `key`, falls between 0 and 1:
    first `val`, then `test`, then training. So a group stays where it is when others come or go,
    and a row's split can be computed anywhere from the name alone: its UTF-8, or the eight bytes
    of a `cluster_id`, the lowest first. A row without a group goes to training, and is counted.

    Parameters
    ----------
    group : what is never parted: "cluster" (clones), "donor", "study" (the author), or "year" (the
        first one in the author's name).
    val, test : share of the groups, 0 to 1.
    key : another key, another split.
    val_groups, test_groups : names of groups that go there, and all others to training; the
        shares are not used then. For "year", as in ``test_groups: ["2018"]``.
    """

    group: Literal["cluster", "donor", "study", "year"] = "cluster"
    val: float = 0.05
    test: float = 0.05
    key: str = "onetrip"
    val_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "train, val or test for whole groups, by a keyed hash"

    def __post_init__(self) -> None:
        """Refuse what is no split."""
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test <= 1):
            expected = "shares of 0 to 1 in all"
            raise ArgumentError(
                complaint("val, test", expected=expected, got=f"{self.val} and {self.test}")
            )
        if not 0 < len(self.key.encode()) <= blake2b.MAX_KEY_SIZE:
            expected = f"1 to {blake2b.MAX_KEY_SIZE} bytes"
            raise ArgumentError(complaint("key", expected=expected, got=repr(self.key)))
        if self.group == "cluster" and (self.val_groups or self.test_groups):
            expected = "empty for clusters, whose names are numbers"
            raise ArgumentError(complaint("val_groups, test_groups", expected=expected, got="some"))
        if both := set(self.val_groups) & set(self.test_groups):
            expected = "other groups than `val_groups`"
            raise ArgumentError(complaint("test_groups", expected=expected, got=sorted(both)))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Upstream's columns and `split`."""
        require_columns(self.name, upstream, _COLUMN[self.group])
        return with_field(upstream, "split", pa.dictionary(pa.int8(), pa.string()))

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Give each row the split of its group."""
        encoded = plain(batch[_COLUMN[self.group]]).dictionary_encode("encode")
        chosen = self._choose(encoded.dictionary)
        code = chosen[encoded.indices.to_numpy(zero_copy_only=False)]
        counts = {"no_group": int((code == _NO_GROUP).sum())}
        code[code == _NO_GROUP] = SPLITS.index("train")
        counts |= zip(SPLITS, np.bincount(code, minlength=len(SPLITS)).tolist(), strict=True)
        split = pa.DictionaryArray.from_arrays(pa.array(code), pa.array(SPLITS))
        out = with_column(batch, "split", split)
        return Applied(out, counts={name: count for name, count in counts.items() if count})

    def _choose(self, groups: pa.Array) -> np.ndarray:
        """Code of each group's split, int8."""
        if pa.types.is_integer(groups.type):
            text = groups.to_numpy(zero_copy_only=False).astype("<u8").tobytes()
            names = [text[at : at + 8] for at in range(0, len(text), 8)]
        else:
            texts = groups.to_pylist()
            names = [None if text is None else self._name(text) for text in texts]
        if self.val_groups or self.test_groups:
            named = {name.encode(): 1 for name in self.val_groups}
            named |= {name.encode(): 2 for name in self.test_groups}
            code = np.array([named.get(name or b"", 0) for name in names], np.int8)
        else:
            key = self.key.encode()
            digests = [blake2b(name or b"", digest_size=8, key=key).digest() for name in names]
            place = np.frombuffer(b"".join(digests), "<u8") / 2**64
            code = np.select([place < self.val, place < self.val + self.test], [1, 2], 0)
        code[[number for number, name in enumerate(names) if name is None]] = _NO_GROUP
        return code.astype(np.int8)

    def _name(self, text: str) -> bytes | None:
        if self.group != "year":
            return text.encode()
        found = _YEAR.search(text)
        return found.group().encode() if found else None

"""Whatever comes in: every row goes out, is dropped, or lies in quarantine, once."""

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.engine.run import run
from onetrip.data.store.dataset import open_finished
from onetrip.data.store.quarantine import entries

IDS = st.text("abc", min_size=1, max_size=2)
# A row as it stands in a file, and whether the CSV reader, or else the step `numbers`, refuses it.
GOOD = st.tuples(IDS, st.integers(-5, 5)).map(lambda row: (f"{row[0]},{row[1]}".encode(), "good"))
WORDS = IDS.map(lambda name: (f"{name},many".encode(), "no number"))
BROKEN = st.sampled_from([b"a", b"a,1,2", b'"a,1', b"a\xff,1", b"a\x00,1", b'a,"1"",'])
LINES = st.lists(
    st.one_of(GOOD, GOOD, WORDS, BROKEN.map(lambda text: (text, "broken")), st.just((b"", "none"))),
    max_size=30,
)


@given(st.lists(LINES, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_account_closes_for_any_input(units, fused, final_newline):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "in").mkdir()
        for number, lines in enumerate(units):
            text = b"\n".join([b"id,n", *(line for line, _ in lines)])
            (folder / "in" / f"{number}.csv").write_bytes(text + b"\n" * final_newline)
        recipe = {
            "source": {"csv": {"columns": ["id", "n"]}, "cache": not fused},
            "steps": [
                {"toy_steps:Numbers": {}, "cache": not fused},
                {"filter": {"where": ["n >= 0"]}},
                "toy_steps:Distinct",
            ],
        }
        result = run(recipe, folder / "in", folder / "out", max_bad_rows="100%", executor="inline")
        every = [line for lines in units for line in lines]
        fate = [kind for _, kind in every]
        accounts = result.accounts
        rows_in = len(fate) - fate.count("none")
        assert result.damage.rows == rows_in
        assert len(entries(folder / "out")) == fate.count("broken") + fate.count("no number")
        numbers = [line.decode().split(",") for line, kind in every if kind == "good"]
        kept = [name for name, n in numbers if int(n) >= 0]
        shards = open_finished(folder / "out").shards
        found = [name for path in shards for name in pq.read_table(path)["id"].to_pylist()]
        assert sorted(found) == sorted(set(kept))
        dropped = sum(account.dropped.total() for account in accounts.values())
        rejected = sum(account.rejected for account in accounts.values())
        assert rows_in == result.rows + dropped + rejected
        if kept:
            assert accounts["distinct"].dropped.total() == len(kept) - len(set(kept))

"""A vocabulary is learnt from training rows alone, opens in transformers, and encodes batches."""

import json

import numpy as np
import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.tokenise import Tokenise
from onetrip.data.steps.tokenise_bpe import TokeniseBpe
from onetrip.data.steps.train_tokeniser import TrainTokeniser
from onetrip.data.text.region_text import REGIONS, chain_texts
from onetrip.data.text.residues import VOCABULARY
from onetrip.data.text.sampling import SmallestHashes

FRAME = ["EVQLVESGG", "GFTFSSYA", "MSWVRQAPG", "ISGSGGST", "YYADSVKG", None, "WGQGTLVTVSS"]


@pytest.fixture(scope="module")
def chains(random_chains):
    """Chains with frameworks that recur; those of the test split are made of W alone."""
    rows = []
    for number, cdr3 in enumerate(random_chains(300, 8, 16)):
        regions = [part or cdr3 for part in FRAME]
        in_test = number % 10 == 0
        if in_test:
            regions = ["W" * len(part) for part in regions]
        rows.append(
            {
                "sequence_aa": "".join(regions),
                "split": "test" if in_test else "train",
                **dict(zip(REGIONS, regions, strict=True)),
            }
        )
    return pa.RecordBatch.from_pylist(rows)


@pytest.fixture(scope="module")
def learn(stream_of, tmp_path_factory):
    from onetrip.data.step import Context

    def learn(step, *batches):
        context = Context(tmp_path_factory.mktemp("scratch"), memory_bytes=512 << 20)
        return step.learn(stream_of(batches), context)

    return learn


def test_tokens_stay_short_and_within_regions(chains, learn):
    made = json.loads(learn(TrainTokeniser(vocabulary=120), chains)["tokenizer.json"])
    tokens = list(made["model"]["vocab"])
    assert len(tokens) == 120
    assert max(len(t) for t in tokens if not t.startswith("<")) <= 12
    regions = {text for name in REGIONS for text in chains[name].to_pylist()}
    long = [t for t in tokens if len(t) > 1 and not t.startswith("<")]
    assert long
    assert all(any(token in region for region in regions) for token in long)
    # Without regions, tokens cross their borders.
    crossing = json.loads(
        learn(TrainTokeniser(vocabulary=120, regions=False), chains)["tokenizer.json"]
    )
    assert not all(
        any(token in region for region in regions)
        for token in crossing["model"]["vocab"]
        if not token.startswith("<")
    )


def test_test_rows_do_not_reach_the_vocabulary(chains, learn):
    tokens = json.loads(learn(TrainTokeniser(vocabulary=200), chains)["tokenizer.json"])
    assert not [token for token in tokens["model"]["vocab"] if "WW" in token]


def test_order_of_rows_does_not_matter(chains, learn):
    step = TrainTokeniser(vocabulary=80, sample=100)
    shuffled = chains.take(pa.array(np.random.default_rng(0).permutation(chains.num_rows)))
    assert learn(step, chains) == learn(step, shuffled.slice(0, 50), shuffled.slice(50), chains)


def test_first_ids_are_those_of_residues(learn, chains):
    vocabulary = json.loads(learn(TrainTokeniser(), chains)["tokenizer.json"])["model"]["vocab"]
    assert sorted(VOCABULARY, key=vocabulary.__getitem__) == list(VOCABULARY)


def test_transformers_opens_it_and_agrees(chains, learn, run_step, tmp_path):
    transformers = pytest.importorskip("transformers")
    artifacts = learn(TrainTokeniser(vocabulary=120), chains)
    (tmp_path / "tokenizer.json").write_bytes(artifacts["tokenizer.json"])
    opened = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="<pad>", unk_token="<unk>"
    )
    table, _, _ = run_step(TokeniseBpe().bind(artifacts), [chains])
    texts = chain_texts(chains, regions=True)[0].to_pylist()
    assert table["input_ids"].to_pylist() == opened(texts)["input_ids"]
    ids = table["input_ids"][1].as_py()
    assert "".join(opened.convert_ids_to_tokens(ids)[1:-1]) == chains["sequence_aa"][1].as_py()
    assert table["n_tokens"].to_pylist() == [len(row) for row in table["input_ids"].to_pylist()]


def test_a_vocabulary_of_residues_alone_is_tokenise(chains, learn, run_step):
    artifacts = learn(TrainTokeniser(vocabulary=26, regions=False), chains)
    pairs = pa.record_batch(
        {
            "sequence_aa_heavy": ["EVQ", "QVX", "EVQ"],
            "sequence_aa_light": pa.array(["DIQ", "DIV", None]),
        }
    )
    for batch in (chains.select(["sequence_aa"]), pairs):
        expected, _, counted = run_step(Tokenise(), [batch])
        found, _, counts = run_step(TokeniseBpe().bind(artifacts), [batch])
        assert found.to_pylist() == expected.to_pylist()
        assert counts == counted


def test_sample_is_that_of_the_smallest_hashes():
    hashes = np.random.default_rng(0).permutation(1000).astype(np.uint64)
    sample = SmallestHashes(10, pa.schema([("n", pa.uint64())]))
    for part in np.split(hashes, 20):
        sample.add(part, pa.record_batch({"n": part}))
    assert sample.rows()["n"].to_pylist() == list(range(10))


def test_wrong_use_is_refused(chains, learn):
    with pytest.raises(ArgumentError, match="`vocabulary` must be 26 to 65,536"):
        TrainTokeniser(vocabulary=20)
    with pytest.raises(ArgumentError, match="`sample` must be at most"):
        learn(TrainTokeniser(sample=10_000_000), chains)
    with pytest.raises(DataError, match="no training row"):
        learn(TrainTokeniser(), chains.slice(0, 1))
    with pytest.raises(DataError, match=r"has no tokenizer\.json"):
        TokeniseBpe().apply(chains)
    with pytest.raises(DataError, match="reads split"):
        TrainTokeniser().schema(pa.schema([("sequence_aa", pa.string())]))

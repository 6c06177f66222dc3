"""What is special about kneighbors besides exactness: streams, errors, memory."""

import numpy as np
import pytest
import torch
from neighbor_data import draw, truth

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.testing.memory import peak_memory


def test_by_hand():
    corpus = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [0.0, -1.0]])
    distances, values = onetrip.kneighbors(torch.zeros(1, 2), corpus, n_neighbors=3)
    assert distances.tolist() == [[0.0, 1.0, 1.0]]
    assert values["indices"].tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("rows", [1, 7, 100, 500])
def test_chunks_are_a_corpus(rows):
    x, y = draw("duplicated", 30, seed=1), draw("duplicated", 400, seed=2)
    _, values = onetrip.kneighbors(x, iter(y.split(rows)), n_neighbors=9)
    assert torch.equal(values["indices"], truth(x, y, 9)[1])


def test_memory_map_is_a_corpus(tmp_path):
    x, y = draw("normal", 10, seed=1), draw("normal", 900, seed=2)
    y.numpy().tofile(tmp_path / "corpus.bin")
    mapped = torch.from_file(str(tmp_path / "corpus.bin"), shared=False, size=y.numel())
    _, values = onetrip.kneighbors(x, mapped.view(y.shape), n_neighbors=3)
    assert torch.equal(values["indices"], truth(x, y, 3)[1])


def test_memory_stays_far_below_the_distances():
    x, y = torch.randn(2000, 8), torch.randn(40_000, 8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with peak_memory() as memory:
            onetrip.kneighbors(x, y, n_neighbors=10)
    finally:
        torch.set_num_threads(threads)
    assert memory.peak_bytes < x.shape[0] * y.shape[0] * 4 / 8


def test_no_queries():
    distances, values = onetrip.kneighbors(torch.ones(0, 3), torch.ones(5, 3), n_neighbors=2)
    assert distances.shape == values["indices"].shape == (0, 2)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_neighbors": 0}, ArgumentError, "`n_neighbors` must be an integer >= 1, got 0"),
        ({"n_neighbors": True}, ArgumentError, "`n_neighbors` must be an integer"),
        ({"n_neighbors": 6}, UnsupportedError, "a corpus of 5 rows has no 6 neighbours"),
        ({"metric": "manhattan"}, ArgumentError, "`metric` must be one of"),
        ({"precision": "exact"}, ArgumentError, "`precision` must be one of"),
        ({"queries": torch.ones(3)}, ShapeError, r"`queries` must be a matrix \[Q, D\]"),
        ({"corpus": torch.ones(5, 4)}, ShapeError, "`corpus` must be of 3 features"),
        ({"corpus": torch.ones(5, 3).double()}, DtypeError, "`corpus` must be torch.float32"),
        ({"corpus": np.ones((5, 3))}, DtypeError, "`corpus` must be a tensor"),
        ({"queries": torch.ones(2, 3).long()}, DtypeError, "`queries` must be float32"),
        ({"exclude_self": True}, UnsupportedError, "wants the corpus itself as queries"),
        ({"impl": "abacus"}, UnsupportedError, "there is no implementation 'abacus'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    given = {"queries": torch.ones(2, 3), "corpus": torch.ones(5, 3), "n_neighbors": 1}
    with pytest.raises(error, match=message):
        onetrip.kneighbors(**{**given, **arguments})


def test_chunks_do_not_know_who_asks():
    with pytest.raises(UnsupportedError, match="a corpus that is one tensor"):
        onetrip.kneighbors(
            torch.ones(2, 3), iter([torch.ones(2, 3)]), n_neighbors=1, exclude_self=True
        )


def test_chunks_must_be_enough():
    with pytest.raises(ArgumentError, match="at most the 4 rows"):
        onetrip.kneighbors(torch.ones(2, 3), iter([torch.ones(2, 3)] * 2), n_neighbors=5)

"""Phrases by the definition, side by side and one by one; complexity against junk and shuffles."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.text.complexity import complexity
from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.lempel_ziv import SHORT, count_phrases, phrases_of

AMINO_ACIDS = list("ACDEFGHIKLMNPQRSTVWY")


def by_definition(text):
    """Lempel and Ziv's parse: each phrase is the shortest piece that has not occurred before."""
    phrases = start = 0
    while start < len(text):
        end = start + 1
        while end <= len(text) and text[start:end] in text[: end - 1]:
            end += 1
        phrases, start = phrases + 1, end
    return phrases


@pytest.mark.parametrize(
    ("text", "phrases"),
    [("", 0), ("a", 1), ("aa", 2), ("aaaa", 2), ("abab", 3), ("0001101001000101", 6)],
)
def test_known_texts(text, phrases):
    # The last is the example of the paper: 0·001·10·100·1000·101.
    assert count_phrases(text.encode()) == phrases
    assert phrases_of(FlatText.of(pa.array([text]))).tolist() == [phrases]


TEXT = st.one_of(
    st.text("AB", max_size=140),
    st.text("ACDE", max_size=70),
    st.builds(lambda unit, times: unit * times, st.text("ABC", max_size=9), st.integers(0, 20)),
)


@given(st.lists(st.none() | TEXT, min_size=1, max_size=8))
def test_side_by_side_is_one_by_one(texts):
    found = phrases_of(FlatText.of(pa.array(texts, pa.string()))).tolist()
    assert found == [by_definition(text or "") for text in texts]


@pytest.mark.parametrize("length", [62, 63, 64, 65, 127, 128, 129, SHORT, SHORT + 1])
def test_lengths_around_a_word(length):
    rng = np.random.default_rng(length)
    texts = ["".join(rng.choice(list("ABC"), length)), "A" * length, "AB" * (length // 2)]
    found = phrases_of(FlatText.of(pa.array(texts))).tolist()
    assert found == [by_definition(text) for text in texts]


def test_numbers_of_a_text_do_not_depend_on_its_neighbours(random_chains):
    texts = random_chains(12, 5, 200)
    together = complexity(pa.array(texts))
    alone = [complexity(pa.array([text])) for text in texts]
    assert together.bits.tolist() == [one.bits[0] for one in alone]
    assert together.ratio.tolist() == [one.ratio[0] for one in alone]
    assert together.bits[3] == np.float32(
        by_definition(texts[3]) * math.log2(len(texts[3])) / len(texts[3])
    )


@pytest.mark.parametrize("length", [25, 60, 120, 250])
def test_order_that_says_nothing_has_ratio_one(length, random_chains):
    found = complexity(pa.array(random_chains(300, length, length + 1)))
    assert found.ratio.mean() == pytest.approx(1, abs=0.04)
    assert found.ratio.std() < 0.06


def test_table_says_what_shuffling_gives():
    """Each text's ratio is, in the mean of many shuffles, that of its own shuffles."""
    rng = np.random.default_rng(0)
    text = rng.choice(AMINO_ACIDS, 118, p=rng.dirichlet(np.full(20, 0.7)))
    shuffles = ["".join(rng.permutation(text)) for _ in range(300)]
    counted = phrases_of(FlatText.of(pa.array(shuffles)))
    found = complexity(pa.array(["".join(text)]))
    expected = by_definition("".join(text)) / counted.mean()
    assert found.ratio[0] == pytest.approx(expected, rel=0.03)


def test_junk_lies_below_chains(random_chains):
    chains = complexity(pa.array(random_chains(100)))
    one_letter = complexity(pa.array(["A" * n for n in range(90, 130)]))
    repeats = complexity(pa.array(["".join(np.resize(AMINO_ACIDS[:n], 120)) for n in range(2, 20)]))
    assert one_letter.bits.max() < 0.5 < chains.bits.min()
    assert repeats.ratio.max() < 0.6 < chains.ratio.min()
    assert one_letter.ratio.min() > 0.9


def test_nothing_has_no_complexity():
    found = complexity(pa.chunked_array([["", None], ["A"]], pa.string()))
    assert np.isnan(found.bits).tolist() == [True, True, False]
    assert np.isnan(found.ratio).tolist() == [True, True, False]
    assert complexity(pa.array([], pa.string())).bits.size == 0

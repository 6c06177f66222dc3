"""The query language says what it does not understand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError
from onetrip.lab.views.language import FIELDS, Range, parse


def test_terms_words_and_negation():
    query = parse('state:done,failed -proposer:grid "split k" -noise peak:>4GiB')
    assert [(term.field, term.values, term.negated) for term in query.terms] == [
        ("state", ("done", "failed"), False),
        ("proposer", ("grid",), True),
        ("peak", (Range(low=4 * 2**30, open=True),), False),
    ]
    assert query.words == (("split k", False), ("noise", True))


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        (">1.1", 1.1, False),
        (">=1.1", 1.1, True),
        ("<2", 2.0, False),
        ("<=2", 2.0, True),
        ("1..2", 2.0, True),
        ("=3", 3.0, True),
        ("3", 3.5, False),
    ],
)
def test_ranges_and_their_ends(text, value, holds):
    (wanted,) = parse(f"ratio:{text}").terms[0].values
    assert isinstance(wanted, Range)
    assert wanted.holds(value) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stat:done", "Did you mean state:?"),
        ("https://example.org", "in quotes to search"),
        ("state:finished", "one of queued"),
        ("champion:maybe", "champion:yes or champion:no"),
        ("ratio:fast", "ratio:>1.1"),
        ("ratio:nan", "ratio:>1.1"),
        ("hypothesis:abc", "a number"),
        ("state:", "a value after state:"),
        ("state:,", "a value after state:"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(ArgumentError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_quotes_make_words_of_anything():
    assert parse('"https://example.org"').words == (("https://example.org", False),)
    assert parse('problem:"linear cross"').terms[0].values == ("linear cross",)
    assert parse('"open').words == (("open", False),)
    assert parse(" ").terms == ()


@given(st.text(alphabet='abc:"-<>=., state', max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        query = parse(text)
    except ArgumentError:
        return
    assert all(term.field in FIELDS for term in query.terms)

"""Words of the metadata: what means nothing, and one spelling for each thing that has several."""

from collections.abc import Mapping

# Vintages of the database disagree on how to say that there is nothing.
NULLS = frozenset({"", "no", "none", "na", "n/a", "nan", "null"})

_SPECIES = (
    "human",
    "mouse",
    "mouse_C57BL/6",
    "mouse_BALB/c",
    "mouse_Swiss-Webster",
    "HIS-Mouse",
    "Kymouse",
    "rat",
    "rat_SD",
    "rabbit",
    "rhesus",
    "camel",
    "alpaca",
    "llama",
)
_CHAINS = ("Heavy", "Light", "Paired")
_ISOTYPES = ("Bulk", "IGHA", "IGHD", "IGHE", "IGHG", "IGHM", "IGKC", "IGLC", "All")


def _by_key(words: tuple[str, ...]) -> dict[str, str]:
    return {word.casefold(): word for word in words}


# Column -> spelling in lower case -> the word. Other words stay as they are, and are counted.
CLOSED: Mapping[str, Mapping[str, str]] = {
    "meta_species": _by_key(_SPECIES),
    "meta_chain": _by_key(_CHAINS),
    "meta_isotype": _by_key(_ISOTYPES),
}

# Known errors of spelling in columns whose words are free.
MENDED: Mapping[str, Mapping[str, str]] = {
    "meta_btype": {"germlinal-center": "Germinal-Center"},
}

# What a chain's locus may be, by the word of the metadata or by the suffix of its columns.
LOCI_OF_CHAIN: Mapping[str, frozenset[str]] = {
    "Heavy": frozenset("H"),
    "Light": frozenset("KL"),
    "_heavy": frozenset("H"),
    "_light": frozenset("KL"),
}


def mend(column: str, text: str | None) -> str | None:
    """Trim one word of the metadata, spell it as everywhere, or None where it says nothing.

    >>> mend("meta_species", " his-mouse "), mend("meta_vaccine", "None")
    ('HIS-Mouse', None)
    """
    word = (text or "").strip()
    key = word.casefold()
    if key in NULLS:
        return None
    return {**CLOSED.get(column, {}), **MENDED.get(column, {})}.get(key, word)


def is_known(column: str, word: str | None) -> bool:
    """Whether `word` is one of the words that `column` is known to have; null is."""
    return word is None or column not in CLOSED or word.casefold() in CLOSED[column]

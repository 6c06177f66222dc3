"""Real antibody chains, from a package that ships them, laid out as units.

Nothing of them is in this library; each package keeps its licence (abnativ's sequences CC BY-NC-SA
4.0, alakazam's example AGPL-3). The smaller one is an extra, the other is downloaded and named as a
file: what it asks for would move half of an environment::

    pip install "onetrip[real]"           # pyalakazam: 1,999 rows of AIRR with nucleotides
    pip download --no-deps abnativ        # 50,000 VH and 50,000 VL chains, aligned

Where `anarcism` is installed it numbers the chains; else they are numbered by the alignment that
the package ships.
"""

import csv
import gzip
import importlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.sources.oas.columns import UNPAIRED
from onetrip.data.sources.oas.real_packages import PACKAGES, package_files
from onetrip.data.sources.oas.synthetic.chain import cdr3_positions
from onetrip.data.sources.oas.synthetic.folder import Made, unit_sizes
from onetrip.data.sources.oas.synthetic.genes import CODONS, RESIDUES
from onetrip.data.sources.oas.synthetic.templates import draw_redundancy
from onetrip.data.sources.oas.synthetic.unit import gzip_into, metadata_line
from onetrip.data.store.aside import full_disk_explained
from onetrip.data.store.writable import folder_to_write

# abnativ's files, and where regions begin in the 149 columns of its alignment (AHo).
_ABNATIV = {"H": "test_vh_v2", "L": "test_vl_v2"}
_AHO_STARTS = (0, 26, 40, 57, 68, 106, 138, 149)
# Nucleotides at which the regions of an IMGT-gapped V begin.
_IMGT_STARTS = (0, 78, 114, 165, 195, 312)
_REGIONS = ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "cdr3", "fwr4")
_KEYS = ("fw{}1", "cdr{}1", "fw{}2", "cdr{}2", "fw{}3", "cdr{}3", "fw{}4")
# First and last IMGT position of each region, where a region's gaps stand.
_SPANS = ((1, 26), (27, 38), (39, 55), (56, 65), (66, 104), (105, 117), (118, 128))
_CDR3 = 5
# In this order positions of a framework are left out: the usual gaps, then from its outer end.
_GAPS = {
    0: (10, *range(1, 27)),
    4: (73, 81, 82),
    6: tuple(range(128, 117, -1)),
}
_RESIDUE_OF = dict(zip(CODONS, RESIDUES, strict=True))
_NUMBERED_AT_ONCE = 1000
# Kappa and lambda are told apart by their last residues alone, which is not certain.
_NUMBERED_AS = {"H": ["H"], "K": ["K", "L"], "L": ["K", "L"]}


@dataclass(frozen=True, slots=True)
class RealChain:
    """A chain by region, as residues, with what else its package says by OAS's columns."""

    locus: str
    regions: tuple[str, ...]
    isotype: str
    facts: dict[str, str]

    @property
    def residues(self) -> str:
        """The whole chain."""
        return "".join(self.regions)


def make_real_fixture(
    folder: Path, source: Path, *, rows: int, units: int, seed: int = 0
) -> list[Made]:
    """Lay out real chains as units, one isotype a unit, sizes spread as the real ones.

    Parameters
    ----------
    folder : made where it is missing.
    source : "pyalakazam" or "abnativ", where it is installed; the wheel of either; or a TSV of AIRR
        with an IMGT-gapped `sequence_alignment`.
    rows : at most; fewer where the package has fewer.
    units : how many.
    seed : of order and Redundancy.

    Raises
    ------
    ArgumentError
        Less than one row or unit.
    DataError
        The source has no chains; the folder cannot be written to.
    MissingDependencyError
        The package is not installed.
    """
    for name, number in (("rows", rows), ("units", units)):
        if number < 1:
            raise ArgumentError(complaint(name, expected="at least 1", got=number))
    try:
        chains = list(_chains(source))
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, KeyError) as error:
        reason = f"lacks the column {error}" if isinstance(error, KeyError) else str(error)
        raise _no_chains(source, f"It cannot be read: {reason}.") from error
    if not chains:
        raise _no_chains(source)
    rng = np.random.default_rng(seed)
    chains = [chains[i] for i in rng.permutation(len(chains))[:rows]]
    chains.sort(key=lambda chain: (chain.locus == "H", chain.isotype))
    folder_to_write("folder", folder)
    made, start = [], 0
    with full_disk_explained(folder):
        for number, size in enumerate(unit_sizes(len(chains), min(units, len(chains)), seed)):
            part = chains[start : start + size]
            start += size
            for heavy in (True, False):
                alike = [chain for chain in part if (chain.locus == "H") == heavy]
                if alike:
                    made.append(_write(folder, number, alike, rng))
    return made


def _no_chains(source: Path, why: str = "") -> DataError:
    expected = "pyalakazam or abnativ, installed; the wheel of either; or a TSV of AIRR"
    return DataError(complaint("real", expected=expected, got=repr(str(source)), way_out=why))


def _write(folder: Path, number: int, chains: list[RealChain], rng: np.random.Generator) -> Made:
    chain = "Heavy" if chains[0].locus == "H" else "Light"
    isotypes = {one.isotype for one in chains}
    isotype = isotypes.pop() if len(isotypes) == 1 else "Bulk"
    path = f"unpaired/Package_2026/PKG{number:05}_{chain}_{isotype}.csv.gz"
    copies = draw_redundancy(len(chains), rng)
    facts = {
        "Run": f"PKG{number:05}",
        "Author": "a package of the registry",
        "Species": "human",
        "BSource": "PBMC",
        "BType": "Unsorted-B-Cells",
        "Longitudinal": "no",
        "Age": "no",
        "Disease": "no",
        "Subject": "no",
        "Vaccine": "no",
        "Chain": chain,
        "Unique sequences": len(chains),
        "Isotype": isotype,
        "Total sequences": int(copies.sum()),
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, UNPAIRED, restval="", lineterminator="\n")
    writer.writeheader()
    numberings = _numberings(chains)
    for one, numbering, copy in zip(chains, numberings, copies, strict=True):
        writer.writerow(_row(one, numbering) | {"Redundancy": str(copy)})
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as raw, gzip_into(raw) as file:
        file.write(metadata_line(facts) + text.getvalue().encode())
    return Made(path, len(chains))


def _row(chain: RealChain, numbering: str) -> dict[str, str]:
    by_region = dict(zip(_REGIONS, chain.regions, strict=True))
    in_v = "".join(chain.regions[:5])
    plain = "F" if "*" in chain.residues else "T"
    return {
        "locus": chain.locus,
        "stop_codon": "F" if plain == "T" else "T",
        "vj_in_frame": "T",
        "v_frameshift": "F",
        "productive": plain,
        "rev_comp": "F",
        "complete_vdj": "T",
        "sequence_alignment_aa": chain.residues,
        "v_sequence_alignment_aa": in_v,
        **{f"{region}_aa": text for region, text in by_region.items()},
        "junction_aa": chain.regions[4][-1:] + chain.regions[5] + chain.regions[6][:1],
        "ANARCI_numbering": numbering,
        "ANARCI_status": "|||||",
        **chain.facts,
    }


def _numberings(chains: list[RealChain]) -> Iterator[str]:
    """Of chains that are all heavy, or all light; "" where a chain cannot be numbered."""
    try:
        anarcism = importlib.import_module("anarcism")
    except ModuleNotFoundError:
        yield from (_numbered_by_alignment(chain) for chain in chains)
        return
    # Seven times as fast as a search among the chains of every species.
    allowed = {"allowed_chains": _NUMBERED_AS[chains[0].locus], "allowed_species": ["human"]}
    for at in range(0, len(chains), _NUMBERED_AT_ONCE):
        part = chains[at : at + _NUMBERED_AT_ONCE]
        named = [(str(i), chain.residues.replace("*", "X")) for i, chain in enumerate(part)]
        results = anarcism.number_sequences(named, **allowed)
        for chain, result in zip(part, results, strict=True):
            yield _written(chain, result.domains[0]) if result.domains else ""


def _written(chain: RealChain, domain) -> str:
    """One domain as ANARCI's dictionary, which prints itself with padded keys."""
    prefix = {"H": "h", "K": "k", "L": "l"}[domain.chain_type]
    regions: dict[str, dict[str, str]] = {key.format(prefix): {} for key in _KEYS}
    names = dict(zip(("FR1", "CDR1", "FR2", "CDR2", "FR3", "CDR3", "FR4"), regions, strict=True))
    for residue in domain.numbering:
        position = f"{residue.position}{residue.insertion_code.strip() or ' '}"
        regions[names[residue.region]][position] = residue.amino_acid
    return str(regions)


def _numbered_by_alignment(chain: RealChain) -> str:
    prefix = chain.locus.lower()
    regions = {
        key.format(prefix): dict(zip(_positions(number, len(text)), text, strict=True))
        for number, (key, text) in enumerate(zip(_KEYS, chain.regions, strict=True))
    }
    return str(regions)


def _positions(region: int, length: int) -> list[str]:
    """IMGT names of the residues of a region: gaps where the region has them, else insertions."""
    first, last = _SPANS[region]
    if region == _CDR3:
        return cdr3_positions(length)
    whole = list(range(first, last + 1))
    gaps = _GAPS.get(region, ())
    # A CDR closes up around its middle.
    middle = sorted(whole, key=lambda position: abs(2 * position - first - last - 1))
    absent = set(list(dict.fromkeys([*gaps, *middle]))[: max(0, len(whole) - length)])
    names = [f"{position} " for position in whole if position not in absent]
    inserted = [f"{middle[0]}{chr(65 + i)}" for i in range(length - len(whole))]
    place = whole.index(middle[0]) + 1
    return names[:place] + inserted + names[place:] if inserted else names


def _chains(source: Path) -> Iterator[RealChain]:
    if source.suffix != ".whl" and source.as_posix() not in PACKAGES:
        opened = gzip.open(source, "rt") if source.suffix == ".gz" else source.open("rt")
        with opened as file:
            yield from _from_airr(file)
        return
    for name, file in package_files(source):
        for locus, start in _ABNATIV.items():
            if f"/{start}" in name:
                yield from _from_abnativ(locus, io.TextIOWrapper(file))
        if name.endswith("ExampleDb.tsv.gz"):
            yield from _from_airr(io.TextIOWrapper(gzip.open(file)))


def _from_abnativ(locus: str, file: io.TextIOBase) -> Iterator[RealChain]:
    for row in csv.DictReader(file):
        aligned = row["aligned_seq"]
        cuts = pairwise(_AHO_STARTS)
        regions = tuple(aligned[start:stop].replace("-", "") for start, stop in cuts)
        # A lambda V ends in ...TVL, a kappa in ...EIK: the file does not say which it is.
        of = "H" if locus == "H" else "L" if regions[6].endswith(("L", "LG")) else "K"
        yield RealChain(of, regions, "Bulk", {})


def _from_airr(file: io.TextIOBase) -> Iterator[RealChain]:
    for row in csv.DictReader(file, delimiter="\t"):
        aligned, junction = row["sequence_alignment"].upper(), row["junction"].upper()
        v_part = aligned[: _IMGT_STARTS[-1]]
        bounds = pairwise(_IMGT_STARTS)
        coding = [v_part[start:stop] for start, stop in bounds]
        behind = aligned[_IMGT_STARTS[-1] :].replace(".", "")
        cdr3 = junction[3:-3]
        coding += [cdr3, behind[len(cdr3) :]]
        if not behind.startswith(cdr3) or len(junction) % 3:
            continue
        nt = "".join(coding).replace(".", "").replace("-", "")
        calls = {key: row.get(key, "") for key in ("v_call", "d_call", "j_call")}
        yield RealChain(
            row["locus"][-1],
            tuple(map(_translated, coding)),
            row.get("c_call") or "Bulk",
            {"sequence": nt, "sequence_alignment": nt, "junction": junction, **calls},
        )


def _translated(coding: str) -> str:
    """Residues of codons; gaps left out, codons with letters that are no base as X."""
    codons = (coding[at : at + 3] for at in range(0, len(coding) - 2, 3))
    return "".join(_RESIDUE_OF.get(codon, "X") for codon in codons if not set(codon) <= set(".-"))

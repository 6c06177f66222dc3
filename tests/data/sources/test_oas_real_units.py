"""Real chains laid out as units. Not shipped: without a package, rows of its shape stand in.

With the packages: `pip download --no-deps pyalakazam`, then
`onetrip data oas make-fixture DIR --real pyalakazam-0.1.1-py3-none-any.whl`.
"""

import ast
import gzip
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from onetrip.core.errors import ArgumentError, DataError, MissingDependencyError
from onetrip.data.sources.oas.real_units import make_real_fixture
from onetrip.data.sources.oas.source import Oas
from onetrip.data.sources.oas.synthetic.folder import make_fixture
from onetrip.data.sources.oas.synthetic.genes import POSITIONS, genes, to_residues


def chain_of(locus):
    gene = genes()[locus][0]
    regions = [to_residues(codons) for codons in gene.v_codons]
    return [*regions, "ARDYYGSSYFDY" if locus == "H" else "QQSYSTPLT", to_residues(gene.j_codons)]


def read(folder):
    for unit in Oas(columns="all").find(folder):
        for got in Oas(columns="all").read(unit):
            assert not got.rejects
            yield from got.batch.to_pylist()


@pytest.fixture
def rows_of_airr():
    """Three rows of one chain, as a TSV."""
    regions = genes()["H"][0].v_codons
    gapped = ["".join(r).ljust(n, ".") for r, n in zip(regions, (78, 36, 51, 30, 117), strict=True)]
    j = "".join(genes()["H"][0].j_codons)
    row = {
        "sequence_alignment": "".join(gapped) + "GCGAGAGATTAC" + j,
        "junction": "TGT" + "GCGAGAGATTAC" + "TGG",
        "v_call": "IGHV1",
        "locus": "IGH",
        "c_call": "IGHM",
    }
    return "\t".join(row) + "\n" + ("\t".join(row.values()) + "\n") * 3


def test_rows_of_airr_become_units(rows_of_airr, tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text(rows_of_airr)
    made = make_real_fixture(tmp_path / "units", path, rows=10, units=1)
    assert [(one.path.split("/")[-1], one.rows) for one in made] == [
        ("PKG00000_Heavy_IGHM.csv.gz", 3)
    ]
    first, *_ = read(tmp_path / "units")
    assert (first["cdr3_aa"], first["locus"], first["meta_isotype"]) == ("ARDY", "H", "IGHM")
    assert first["fwr1_aa"] == to_residues(genes()["H"][0].v_codons[0])


def test_an_installed_package_is_found_by_its_name(rows_of_airr, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [])
        with pytest.raises(MissingDependencyError, match=r'pip install "onetrip\[real\]"'):
            make_real_fixture(tmp_path / "none", Path("pyalakazam"), rows=10, units=1)
        with pytest.raises(MissingDependencyError, match="pip download --no-deps abnativ"):
            make_real_fixture(tmp_path / "none", Path("abnativ"), rows=10, units=1)
    data = tmp_path / "site" / "pyalakazam" / "data" / "ExampleDb.tsv.gz"
    data.parent.mkdir(parents=True)
    data.write_bytes(gzip.compress(rows_of_airr.encode()))
    about = tmp_path / "site" / "pyalakazam-0.1.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pyalakazam\nVersion: 0.1.1\n")
    (about / "RECORD").write_text("pyalakazam/data/ExampleDb.tsv.gz,,\npyalakazam/gone.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    made = make_real_fixture(tmp_path / "units", Path("pyalakazam"), rows=10, units=1)
    assert sum(one.rows for one in made) == 3


def test_aligned_chains_of_a_wheel_are_numbered(tmp_path):
    wheel = tmp_path / "abnativ.whl"
    widths = (26, 14, 17, 11, 38, 32, 11)
    with zipfile.ZipFile(wheel, "w") as file:
        for locus, name in (("H", "vh"), ("K", "vl")):
            aligned = "".join(r.ljust(w, "-") for r, w in zip(chain_of(locus), widths, strict=True))
            text = f"seq_id,input_seq,aligned_seq\n1,x,{aligned}\n"
            file.writestr(f"abnativ/test_{name}_v2_abnativ_seq_scores.csv", text)
    made = make_real_fixture(tmp_path / "units", wheel, rows=10, units=2)
    assert sum(one.rows for one in made) == 2
    for row in read(tmp_path / "units"):
        locus = row["locus"]
        numbering = ast.literal_eval(row["ANARCI_numbering"])
        assert list(numbering) == [
            key.format(locus.lower())
            for key in ("fw{}1", "cdr{}1", "fw{}2", "cdr{}2", "fw{}3", "cdr{}3", "fw{}4")
        ]
        residues = "".join("".join(region.values()) for region in numbering.values())
        assert residues == row["sequence_alignment_aa"] == "".join(chain_of(locus))
        without_cdr3 = [region for key, region in numbering.items() if not key.startswith("cdr")]
        frameworks = [POSITIONS[locus][i] for i in (0, 2, 4, 5)]
        assert [tuple(int(p) for p in region) for region in without_cdr3] == frameworks


class Anarcism:
    """Answers as the package of this name (1.0.1) does: a position a residue, from 1 on."""

    def __init__(self):
        self.asked = []

    def number_sequences(self, inputs, *, allowed_chains, allowed_species):
        self.asked.append((tuple(allowed_chains), tuple(allowed_species), len(inputs)))
        return [SimpleNamespace(domains=self.domains(text)) for _, text in inputs]

    def domains(self, text):
        if "X" in text:
            return []
        places = enumerate(text, 1)
        residues = [
            SimpleNamespace(position=n, insertion_code=" ", amino_acid=one, region="FR1")
            for n, one in places
        ]
        return [SimpleNamespace(chain_type="K", numbering=residues)]


def test_anarcism_numbers_where_it_is_installed(tmp_path, monkeypatch):
    package = Anarcism()
    monkeypatch.setitem(sys.modules, "anarcism", package)
    wheel = tmp_path / "abnativ.whl"
    chains = "".join(f"1,x,{regions.ljust(149, '-')}\n" for regions in ("DIQMTQ", "DIQXTQ"))
    with zipfile.ZipFile(wheel, "w") as file:
        text = f"seq_id,input_seq,aligned_seq\n{chains}"
        file.writestr("abnativ/test_vl_v2_abnativ_seq_scores.csv", text)
    make_real_fixture(tmp_path / "units", wheel, rows=10, units=1)
    # Among light human ones alone: a search of all is seven times slower.
    assert package.asked == [(("K", "L"), ("human",), 2)]
    numberings = {row["sequence_alignment_aa"]: row["ANARCI_numbering"] for row in read(tmp_path)}
    assert numberings["DIQXTQ"] == ""
    numbered = ast.literal_eval(numberings["DIQMTQ"])
    assert numbered["fwk1"] == {f"{n} ": one for n, one in enumerate("DIQMTQ", 1)}
    assert list(numbered)[1:] == ["cdrk1", "fwk2", "cdrk2", "fwk3", "cdrk3", "fwk4"]


def test_what_has_no_chains_is_refused(tmp_path):
    (tmp_path / "page.whl").write_bytes(b"<html>")
    (tmp_path / "other.tsv").write_text("word\tn\nyes\t1\n")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    for name, why in (
        ("page.whl", "File is not a zip file"),
        ("nowhere.tsv", "No such file"),
        ("other.tsv", "lacks the column 'sequence_alignment'"),
        ("empty.whl", "a TSV of AIRR, got"),
    ):
        with pytest.raises(DataError, match=why):
            make_real_fixture(tmp_path / "units", tmp_path / name, rows=10, units=1)
    assert not (tmp_path / "units").exists()


@pytest.mark.parametrize("wrong", [{"units": 0}, {"units": -1}, {"paired_units": -1}, {"rows": 0}])
def test_fixtures_without_units_or_rows_are_refused(wrong, tmp_path):
    with pytest.raises(ArgumentError, match="must be at least"):
        make_fixture(tmp_path / "units", **{"rows": 5, "units": 1} | wrong)
    assert not (tmp_path / "units").exists()

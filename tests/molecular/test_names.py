"""Names of patients, samples, slides and genes."""

import hashlib

import molecular_layouts as layouts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.molecular.barcodes import parse_barcode, patient_of
from histograft.molecular.genes import LUAD_NINE, draw_genes, hash_genes, match_genes
from histograft.molecular.name_lists import parse_gene_list, parse_sequenced
from histograft.molecular.samples import parse_sample_sheet, resolve_samples

CODE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=2)


@given(CODE, CODE, CODE, st.integers(1, 99), st.sampled_from(["", "A", "Z"]))
def test_a_barcode_is_cut_at_its_published_places(site, first, second, number, vial):
    name = f"TCGA-{site}-{first}{second}-{number:02d}{vial}"
    barcode = parse_barcode(name)
    assert barcode.patient_id == name[:12]
    assert barcode.site == name[5:7]
    assert barcode.sample_type == name[13:15]
    for other in (name.lower(), name.replace("-", "."), f" {name} ", f"{name}-01R-1858-07"):
        assert parse_barcode(other) == barcode


@pytest.mark.parametrize(
    ("name", "sample_type", "kind"),
    [
        ("TCGA-05-4249-01Z-00-DX1.9fce0297-cc19-4c04-872c-4466ee4024db.svs", "01", "diagnostic"),
        ("TCGA-CR-7395-01A-01-TS1.svs", "01", "frozen"),
        ("tcga-cr-7395-01a-01-bs1", "01", "frozen"),
        ("TCGA-CR-7395-11A-01-TS1", "11", "frozen"),
        ("TCGA-CR-7395-06A-01-MSA", "06", "frozen"),
        ("TCGA-CR-7395-01A-11R-A24H-07", "01", None),
        ("TCGA-CR-7395", None, None),
    ],
)
def test_sample_type_and_kind_of_slide(name, sample_type, kind):
    barcode = parse_barcode(name)
    assert (barcode.sample_type, barcode.slide_kind) == (sample_type, kind)


@pytest.mark.parametrize("name", ["PAT-0017", "TCGA", "TCGA-05-42491", "XTCGA-05-4249", "", "42"])
def test_what_is_no_barcode_is_kept_as_it_stands(name):
    assert parse_barcode(name) is None
    assert patient_of(name) == name


def test_samples_find_their_patients():
    names = ["TCGA-05-4249-01A", "TCGA-05-4249-11A", "s1", "P2", "s9"]
    found = resolve_samples(names, patients={"s1": "P1", "s2": "P2"})
    people = ["TCGA-05-4249", "TCGA-05-4249", "P1", "P2", ""]
    assert found["patient_id"].tolist() == people
    assert found["reason"].tolist() == ["", "sample-type", "", "", "not-in-sample-sheet"]
    both = resolve_samples(names[:2], sample_types=("01", "11"))
    assert both["reason"].tolist() == ["", ""]


def test_sample_sheets():
    gdc = layouts.gdc_sample_sheet([("a.tsv", "TCGA-05-4249", "TCGA-05-4249-01A")])
    sheet = parse_sample_sheet(layouts.stream(gdc), "sheet")
    expected = [
        {"sample_id": "TCGA-05-4249-01A", "patient_id": "TCGA-05-4249", "file_name": "a.tsv"}
    ]
    assert sheet.to_dict("records") == expected
    clinical = layouts.clinical_samples([("P1", "P1-T1"), ("P1", "P1-T2")])
    sheet = parse_sample_sheet(layouts.stream(clinical), "data_clinical_sample.txt")
    assert dict(zip(sheet["sample_id"], sheet["patient_id"], strict=True)) == {
        "P1-T1": "P1",
        "P1-T2": "P1",
    }
    own = "patient_id,sample_id\r\n7,7a\r\n"
    assert parse_sample_sheet(layouts.stream(own), "own").values.tolist() == [["7a", "7"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column of samples"),
        ("patient_id,sample_id\nP1,\n", "data row 1 has an empty cell"),
        ("patient_id,sample_id\nP1,s\nP2,s\n", "the sample s has two patients"),
        ("patient_id,sample_id,file\nP1,s,f\nP2,t,f\n", "names the file f twice"),
    ],
)
def test_bad_sample_sheets(text, message):
    with pytest.raises(InputError, match=message):
        parse_sample_sheet(layouts.stream(text), "sheet.csv")


def test_lists_of_names():
    samples = ["TCGA-05-4249-01", "TCGA-05-4250-01"]
    text = layouts.case_list(samples)
    assert parse_sequenced(layouts.stream(text), "cases_sequenced.txt") == samples
    turned = "case_list_ids:\t" + "\t".join(samples) + "\r\nstable_id: x y\r\n"
    assert parse_sequenced(layouts.stream(turned), "cases") == samples
    plain = "\ufeffpatient_id\r\nP1\r\n\r\n# no more\r\nP2\r\nP1\r\n"
    assert parse_sequenced(layouts.stream(plain), "list") == ["P1", "P2"]
    assert parse_gene_list(layouts.stream('"TP53"\nKRAS\n'), "genes") == ["TP53", "KRAS"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("# nothing\n", "names nobody"), ("TP53 KRAS\n", "line 1.*more than one")],
)
def test_bad_lists(text, message):
    with pytest.raises(InputError, match=message):
        parse_gene_list(layouts.stream(text), "genes.txt")


@given(st.sets(st.text("ABC123", min_size=1), min_size=2), st.randoms(), st.integers(0, 9))
def test_a_draw_depends_on_the_genes_and_the_seed_only(genes, random, seed):
    listed = sorted(genes) * 2
    random.shuffle(listed)
    n = len(genes) // 2
    draw = draw_genes(listed, n, seed)
    assert draw == draw_genes(genes, n, seed)
    assert len(set(draw.genes)) == n
    assert set(draw.genes) <= set(draw_genes(genes, n + 1, seed).genes) <= genes
    text = "\n".join(sorted(draw.genes))
    assert draw.sha256 == hash_genes(draw.genes) == hashlib.sha256(text.encode()).hexdigest()


def test_seeds_draw_differently_and_too_many_are_refused():
    genes = [f"G{i}" for i in range(1000)]
    assert draw_genes(genes, 100, 0) != draw_genes(genes, 100, 1)
    with pytest.raises(InputError, match="1001 genes cannot be drawn from 1000"):
        draw_genes(genes, 1001, 0)


def test_genes_that_are_not_there_are_named():
    found, absent = match_genes([*LUAD_NINE, "C1ORF112", "2-Sep"], {"C1orf112", *LUAD_NINE}, "a")
    assert found == list(LUAD_NINE)
    assert absent["C1ORF112"] == "C1orf112 is there"
    assert "date" in absent["2-Sep"]
    with pytest.raises(InputError, match="none of the 9 wanted genes"):
        match_genes(LUAD_NINE, {"ENSG00000141510"}, "a.tsv")

"""Who is mutated, who is wild type, and of whom nothing is known."""

import molecular_layouts as layouts
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.molecular.genes import LUAD_NINE
from histograft.molecular.maf import join_mafs, parse_maf
from histograft.molecular.mutations import mutation_table
from histograft.molecular.name_lists import parse_sequenced
from histograft.molecular.variants import CLASS_SETS, KNOWN_CLASSES, NON_SILENT

A, B, C, D = (f"TCGA-05-000{i}" for i in range(4))
VARIANTS = [
    ("TP53", "Missense_Mutation", f"{A}-01A-11D-A24D-08"),
    ("TP53", "Nonsense_Mutation", f"{A}-01A-11D-A24D-08"),
    ("KRAS", "Silent", f"{A}-01A-11D-A24D-08"),
    ("KRAS", "Missense_Mutation", f"{B}-11A-11D-A24D-08"),
    ("KRAS", "Frame_Shift_Del", f"{B}-01A-11D-A24D-08".lower()),
]


def table(variants, **options):
    maf_options = {k: options.pop(k) for k in ("columns", "comments", "newline") if k in options}
    maf = parse_maf(layouts.stream(layouts.maf(variants, **maf_options)), "a.maf")
    return mutation_table(maf, **options)


def test_only_who_was_sequenced_is_wild_type():
    found = table(VARIANTS, sequenced=[A, f"{B}-01", C.lower()])
    expected = {"KRAS": {A: 0, B: 1, C: 0}, "TP53": {A: 1, B: 0, C: 0}}
    assert found.values.to_dict() == expected
    assert found.values.reindex([D]).isna().all(axis=None)
    assert "1 of 3 sequenced patients have no row" in found.notes[0]


def test_without_a_list_silence_means_nothing():
    found = table(VARIANTS)
    assert found.values.index.tolist() == [A, B]
    assert "unknown, not wild type" in found.notes[0]


def test_who_has_rows_but_is_not_listed_is_left_out_and_written_down():
    found = table(VARIANTS, sequenced=[A, C])
    assert found.values.index.tolist() == [A, C]
    patients = found.drops[found.drops["kind"] == "patient"]
    assert patients[["name", "reason"]].values.tolist() == [[B, "not-listed-as-sequenced"]]
    with pytest.raises(InputError, match="none of its 2 patients is on the list"):
        table(VARIANTS, sequenced=[C])


def test_layouts_of_gdc_and_cbioportal_give_the_same():
    short = [(gene, kind, sample[:15]) for gene, kind, sample in VARIANTS]
    gdc = table(VARIANTS, sequenced=[A, B, C])
    portal = table(
        short, sequenced=[A, B, C], columns=layouts.CBIOPORTAL_MAF_COLUMNS, comments="#genome_nexus"
    )
    windows = table(VARIANTS, sequenced=[A, B, C], newline="\r\n", comments="#a\n#b")
    pd.testing.assert_frame_equal(gdc.values, portal.values)
    pd.testing.assert_frame_equal(gdc.values, windows.values)


def test_classes_that_count_can_be_chosen():
    everything = table(VARIANTS, classes=CLASS_SETS["any"])
    assert everything.values.to_dict() == {"KRAS": {A: 1, B: 1}, "TP53": {A: 1, B: 0}}
    truncating = table(VARIANTS, classes=CLASS_SETS["truncating"], genes=["TP53", "KRAS"])
    assert truncating.values.to_dict() == {"TP53": {A: 1, B: 0}, "KRAS": {A: 0, B: 1}}
    with pytest.raises(InputError, match="no variant class"):
        table(VARIANTS, classes=())


def test_changes_of_the_protein_are_those_of_the_maf_format():
    # The values that cBioPortal's documentation lists, divided by what they do to the protein.
    changing = {f"{word}_Mutation" for word in ("Missense", "Nonsense", "Nonstop")}
    changing |= {
        f"{frame}_{kind}" for frame in ("Frame_Shift", "In_Frame") for kind in ("Del", "Ins")
    }
    assert changing | {"Splice_Site", "Translation_Start_Site"} == NON_SILENT
    ends = {f"{end}'{part}" for end in "35" for part in ("UTR", "Flank")}
    others = ends | {"Silent", "IGR", "Intron", "RNA", "Targeted_Region", "Splice_Region"}
    others |= {"De_novo_Start_InFrame", "De_novo_Start_OutOfFrame", "Unknown"}
    assert others <= KNOWN_CLASSES - NON_SILENT


def test_germline_and_wild_type_rows_are_no_mutations():
    rows = [("TP53", "Missense_Mutation", "P1", s) for s in ("Germline", "Wildtype", "LOH")]
    rows += [("KRAS", "Missense_Mutation", "P1", "Somatic"), ("NF1", "Splice_Site", "P1", "")]
    found = table(rows, genes=["TP53", "KRAS", "NF1"])
    assert found.values.loc["P1"].tolist() == [0, 1, 1]
    not_somatic = found.drops[found.drops["reason"] == "not-somatic"]
    assert sorted(not_somatic["name"]) == ["germline", "loh", "wildtype"]


def test_normal_tissue_does_not_count_unless_asked_for():
    assert table(VARIANTS).values.loc[B, "KRAS"] == 1
    normal = table(VARIANTS[3:4] + VARIANTS[:1])
    assert normal.values.index.tolist() == [A]
    assert normal.drops.query("kind == 'sample'")["detail"].tolist() == ["type 11"]
    with pytest.raises(InputError, match=r"no sample is kept.*sample-type"):
        table(VARIANTS[3:4])
    assert table(VARIANTS[3:4], sample_types=("11",)).values.loc[B, "KRAS"] == 1


def test_several_samples_of_a_patient_count_together():
    rows = [("TP53", "Missense_Mutation", f"{A}-01A"), ("KRAS", "Splice_Site", f"{A}-01B")]
    found = table(rows)
    assert found.values.loc[A].tolist() == [1, 1]
    assert any("1 patients have several samples" in note for note in found.notes)


def test_a_gene_that_does_not_occur_is_unknown_not_wild_type():
    found = table(VARIANTS, sequenced=[A, B, C], genes=["KRAS", "MLL2", "tp53"])
    assert found.values.columns.tolist() == ["KRAS"]
    absent = found.drops[found.drops["reason"] == "absent"].fillna("")
    assert absent[["name", "detail"]].values.tolist() == [["MLL2", ""], ["tp53", "TP53 is there"]]
    with pytest.raises(InputError, match="none of the 1 wanted genes"):
        table(VARIANTS, genes=["STK11"])


def test_a_gene_without_variance_is_reported():
    found = table(VARIANTS[:3], genes=["TP53", "KRAS"])
    assert found.genes.set_index("gene")["constant"].to_dict() == {"TP53": True, "KRAS": True}
    assert any("mutated in nobody: KRAS" in note for note in found.notes)


def test_own_names_of_patients_and_samples():
    rows = [("TP53", "Missense_Mutation", "S-1"), ("KRAS", "Splice_Site", "S-9")]
    found = table(rows, patients={"S-1": "17", "S-2": "18"}, sequenced=["17", "S-2"])
    assert found.values.to_dict() == {"TP53": {"17": 1, "18": 0}}
    assert found.drops.query("kind == 'sample'")["reason"].tolist() == ["not-in-sample-sheet"]


def test_files_of_single_aliquots_are_joined():
    parts = [parse_maf(layouts.stream(layouts.maf([v])), f"{i}") for i, v in enumerate(VARIANTS)]
    parts.append(parse_maf(layouts.stream(layouts.maf([])), "no variant"))
    joined = mutation_table(join_mafs(parts, "folder"), sequenced=[A, B, C])
    pd.testing.assert_frame_equal(joined.values, table(VARIANTS, sequenced=[A, B, C]).values)
    with pytest.raises(InputError, match="holds no MAF"):
        join_mafs([], "folder")


def test_files_put_one_after_another_have_their_header_twice():
    text = layouts.maf(VARIANTS[:3]) + layouts.maf(VARIANTS[3:])
    maf = parse_maf(layouts.stream(text), "cat.maf")
    assert mutation_table(maf).values.index.tolist() == [A, B]


def test_nobody_is_mutated():
    found = mutation_table(parse_maf(layouts.stream(layouts.maf([])), "a.maf"), sequenced=[A, B])
    assert found.values.shape == (2, 0)
    assert "2 of 2 sequenced patients have no row" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layouts.maf(VARIANTS).split("\n", 2)[2], "no header: its first line is already a variant"),
        ("Hugo_Symbol\tVariant_Classification\nTP53\tSilent\n", "lacks.*Tumor_Sample_Barcode"),
        (layouts.maf(VARIANTS).replace("Hugo_Symbol", "Gene"), "lacks the column.*Hugo_Symbol"),
        (layouts.maf([("TP53", "missense", "P1")]), "none of the known classes"),
    ],
)
def test_what_is_no_maf_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        mutation_table(parse_maf(layouts.stream(text), "a.maf"))


ROW = st.tuples(
    st.sampled_from(["TP53", "KRAS", "NF1", ""]),
    st.sampled_from([*sorted(KNOWN_CLASSES), "Fusion", ""]),
    st.sampled_from([f"{p}-{t}A" for p in (A, B, C) for t in ("01", "11")] + ["own"]),
    st.sampled_from(["Somatic", "Germline", ""]),
)


@given(st.lists(ROW, min_size=1).map(lambda rows: [("TP53", "Silent", f"{A}-01A"), *rows]))
def test_every_row_counts_or_is_dropped_once(rows):
    found = table(rows, sequenced=[A, B, "own"])
    counted = [
        (sample[:12], row[0])
        for row in rows
        for sample, status in [(row[2], row[3] if len(row) > 3 else "")]
        if sample[:12] in (A, B, "own") and "11A" not in sample and status != "Germline"
        if row[0] and row[1] in NON_SILENT
    ]
    dropped = found.drops.loc[found.drops["kind"] == "row", "count"].sum()
    assert len(counted) + dropped == len(rows)
    ones = {(p, g) for g in found.values for p in found.values.index[found.values[g] == 1]}
    assert ones == set(counted)


@pytest.mark.real
def test_luad_has_the_mutated_patients_of_its_card(luad):
    with (luad / "luad_mutations.maf").open("rb") as file:
        maf = parse_maf(file, "luad_mutations.maf")
    with (luad / "luad_sequenced.txt").open("rb") as file:
        sequenced = parse_sequenced(file, "luad_sequenced.txt")
    assert (len(maf.rows), maf.rows["gene"].nunique(), maf.rows["sample_id"].nunique()) == (
        33_565,
        864,
        451,
    )
    found = mutation_table(maf, sequenced=sequenced, genes=[*LUAD_NINE, "SETBP1"])
    assert found.genes.set_index("gene")["n_mutated"].to_dict() == {
        **{"TP53": 231, "LRP1B": 163, "KRAS": 139, "KEAP1": 81, "FAT4": 69, "STK11": 67},
        **{"EGFR": 61, "NF1": 58, "FAT1": 50, "SETBP1": 46},
    }
    assert len(found.values) == 453
    assert len(mutation_table(maf).values) == 451
    source = pd.read_csv(luad / "luad_porpoise.csv.zip").drop_duplicates("case_id")
    cells = source.set_index("case_id").filter(regex="_mut$").rename(columns=lambda c: c[:-4])
    every = mutation_table(maf, sequenced=sequenced).values
    np.testing.assert_array_equal(every, cells.loc[every.index, every.columns])

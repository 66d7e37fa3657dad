"""Expression of patients, from every layout, and never logged twice."""

import gzip

import molecular_layouts as layouts
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.molecular.expression import expression_table
from histograft.molecular.expression_files import ExpressionMatrix, parse_expression
from histograft.molecular.scale import ScaleFinding, detect_scale, resolve_transform
from histograft.molecular.star import combine_star, parse_star

GENES = ("TP53", "KRAS", "MYGENE")
SAMPLES = ("TCGA-05-0001-01", "TCGA-05-0002-01")
TPM = ((3.0, 1023.0, 0.0), (7.0, 255.0, 1.0))
LOGGED = [[2, 10, 0], [3, 8, 1]]  # log2(x + 1), by hand


def parse(text, **options):
    return parse_expression(layouts.stream(text), "a.tsv", **options)


def made(values, samples=None, genes=None, scale=None):
    values = np.asarray(values, float)
    samples = samples or tuple(f"P{i}" for i in range(len(values)))
    genes = genes or tuple(f"G{i}" for i in range(values.shape[1]))
    return ExpressionMatrix("a.tsv", values, samples, genes, scale, ())


@pytest.mark.parametrize(
    "text",
    [
        layouts.xena(GENES, SAMPLES, TPM),
        layouts.xena(GENES, SAMPLES, TPM, title="Sample"),
        layouts.xena_transposed(GENES, SAMPLES, TPM),
        layouts.cbioportal_rsem(GENES, SAMPLES, TPM),
        layouts.xena(GENES, SAMPLES, TPM).replace("\t", ",").replace("\n", "\r\n"),
        layouts.xena(GENES, [s.lower().replace("-", ".") for s in SAMPLES], TPM),
        layouts.xena(GENES, SAMPLES, TPM).removeprefix("sample\t"),
        gzip.compress(layouts.cbioportal_rsem(GENES, SAMPLES, TPM).encode()),
    ],
    ids=["xena", "Sample", "transposed", "cbioportal", "windows-csv", "points", "r", "gzip"],
)
def test_layouts_give_the_same(text):
    table = expression_table(parse(text))
    assert table.values.columns.tolist() == list(GENES)
    assert table.values.index.tolist() == [s[:12] for s in SAMPLES]
    assert table.values.values.tolist() == LOGGED


@pytest.mark.parametrize(
    ("title", "genes", "samples", "options"),
    [
        ("x", ("A1", "A2", "A3"), ("P1", "P2"), {"known": ["P2"]}),
        ("gene_name", ("A1", "A2", "A3"), ("P1", "P2"), {}),
        ("x", ("A1", "TP53", "A3"), ("P1", "P2"), {}),
        ("x", ("ENSG00000141510.18", "b", "c"), ("P1", "P2"), {}),
        ("x", ("A1", "A2", "A3"), ("P1", "P2"), {"orientation": "genes-in-rows"}),
    ],
)
def test_the_way_round_is_seen_or_stated(title, genes, samples, options):
    matrix = parse(layouts.xena(genes, samples, TPM, title), **options)
    assert matrix.samples == samples
    assert matrix.values.tolist() == [list(row) for row in TPM]


def test_the_other_way_round():
    own = layouts.xena_transposed(("A1", "A2", "A3"), ("P1", "P2"), TPM, "patient_id")
    assert parse(own).samples == ("P1", "P2")
    assert parse(own.replace("patient_id", "x"), known=["P1"]).samples == ("P1", "P2")
    with pytest.raises(InputError, match="cannot be told whether rows are genes or samples"):
        parse(own.replace("patient_id", "x"))


def test_genes_without_a_symbol_are_counted():
    text = layouts.cbioportal_rsem(("TP53", "", "?"), SAMPLES, TPM)
    table = expression_table(parse(text), transform="none")
    assert table.values.columns.tolist() == ["TP53"]
    nameless = table.drops[table.drops["reason"] == "no-name"]
    assert nameless["count"].tolist() == [2]


def test_entrez_ids_alone_name_genes():
    text = "Entrez_Gene_Id\tTCGA-05-0001-01\n7157\t99\n3845\t50\n"
    assert parse(text).genes == ("7157", "3845")


def test_of_several_rows_of_a_gene_the_first_counts():
    table = expression_table(made([[3, 7, 1023]], genes=("A", "B", "A")))
    assert table.values.loc["P0"].tolist() == [2, 3]
    twice = table.drops[table.drops["reason"] == "duplicate"]
    assert twice[["name", "count"]].values.tolist() == [["A", 1]]


def test_samples_of_a_patient_become_their_mean_after_the_logarithm():
    samples = ("TCGA-05-0001-01A", "TCGA-05-0001-01B", "TCGA-05-0001-11A", "TCGA-05-0002-01A")
    table = expression_table(made([[3, 99], [1023, 99], [9e9, 99], [1, np.nan]], samples))
    assert table.values["G0"].tolist() == [6, 1]  # (2 + 10) / 2, not log2(514)
    assert table.drops["reason"].tolist() == ["sample-type"]
    assert any("1 patients have several samples" in note for note in table.notes)
    assert table.samples["sample_id"].tolist() == [samples[0], samples[1], samples[3]]
    assert table.values["G1"].isna().tolist() == [False, True]
    assert any("1 values are missing" in note for note in table.notes)


def test_a_missing_aliquot_does_not_spoil_the_mean():
    table = expression_table(made([[3], [np.nan]], ("P1", "P1")), transform="log2p1")
    assert table.values["G0"].tolist() == [2]


def test_own_names_of_samples():
    matrix = made([[99.0], [1.0], [3.0]], ("s1", "s2", "s3"))
    table = expression_table(matrix, patients={"s1": "17", "s2": "18"})
    assert table.values.index.tolist() == ["17", "18"]
    assert table.drops["reason"].tolist() == ["not-in-sample-sheet"]


def test_genes_without_variance_stay_and_are_reported():
    table = expression_table(made([[50, 1], [50, 2]]))
    assert table.genes["constant"].tolist() == [True, False]
    assert any("1 genes have no variance (G0" in note for note in table.notes)
    sd = np.std(np.log2([2, 3]), ddof=1)
    np.testing.assert_allclose(table.genes["sd"], [0, sd])


def test_what_was_nowhere_measured_is_left_out():
    table = expression_table(made([[50, np.nan, 1], [40, np.nan, 2], [np.nan] * 3]))
    assert table.values.shape == (2, 2)
    assert table.drops[["kind", "name"]].values.tolist() == [["gene", "G1"], ["patient", "P2"]]


def test_wanted_genes_come_in_their_order():
    table = expression_table(made([[99, 1, 2]]), genes=["G2", "G0", "G9"])
    assert table.values.columns.tolist() == ["G2", "G0"]
    assert table.drops[["name", "reason"]].values.tolist() == [["G9", "absent"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample\tTCGA-05-0001-01\nTP53\t1,5\n", "line 2.*'1,5' is not a number"),
        ("sample\tTCGA-05-0001-01\nTP53\t-inf\n", "TP53 of TCGA-05-0001-01 is infinite"),
        ("sample\tTCGA-05-0001-01\n", "no rows"),
        ("Hugo_Symbol\tEntrez_Gene_Id\nTP53\t7157\n", "no column of values"),
        ("sample;TCGA-05-0001-01\nTP53;1\n", "separated by semicolons"),
    ],
)
def test_bad_matrices(text, message):
    with pytest.raises(InputError, match=message):
        parse(text)


# ---- scale


def tpm(n_genes, n_samples=30, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.lognormal(rng.normal(0, 2, n_genes), 0.5, (n_samples, n_genes))
    return counts / counts.sum(axis=1, keepdims=True) * 1e6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_genes", [1000, 20_000])
def test_scales_of_whole_files_are_told_apart(n_genes, seed):
    linear = tpm(n_genes, seed=seed)
    logged = np.log2(linear + 1)
    assert detect_scale(linear).scale == "linear"
    assert detect_scale(np.round(linear)).scale == "linear"
    assert detect_scale(logged).scale == "log"
    assert detect_scale(np.log1p(linear)).scale == "log"
    assert detect_scale(np.log2(linear + 0.001)).scale == "log"
    z = (logged - logged.mean(0)) / logged.std(0)
    assert detect_scale(z).scale == "centered"
    assert detect_scale((linear - linear.mean(0)) / linear.std(0)).scale == "centered"


@given(st.integers(0, 99))
def test_what_is_detected_is_logged_at_most_once(seed):
    linear = tpm(1200, 6, seed)
    once = expression_table(made(linear)).values
    np.testing.assert_allclose(once, np.log2(linear + 1))
    again = expression_table(made(once.to_numpy()))
    np.testing.assert_array_equal(again.values, once)
    assert any("no logarithm was taken" in note for note in again.notes)


def test_logarithms_are_refused_where_they_were_taken():
    logged = np.log2(tpm(1200) + 1)
    for values in (logged, logged - logged.mean(0)):
        with pytest.raises(InputError, match="will not be logged"):
            expression_table(made(values), transform="log2p1")


def test_what_cannot_be_told_must_be_stated():
    few = made([[1.5, 7.25], [2.0, 9.0]])
    with pytest.raises(InputError, match="cannot be told whether values are in logarithms"):
        expression_table(few)
    assert expression_table(few, transform="none").values.loc["P0"].tolist() == [1.5, 7.25]
    logged = expression_table(few, transform="log2p1").values
    np.testing.assert_allclose(logged, np.log2([[2.5, 8.25], [3.0, 10.0]]))
    corrected = made([[-1.0, 5e4], [300.0, 4e4]])
    with pytest.raises(InputError, match="cannot be told"):
        expression_table(corrected)
    with pytest.raises(InputError, match="negative values"):
        expression_table(corrected, transform="log2p1")


def test_linear_values_may_stay_linear():
    table = expression_table(made([[99.0]]), transform="none")
    assert table.values["G0"].tolist() == [99]
    assert any("are linear" in note and "no logarithm" in note for note in table.notes)
    with pytest.raises(InputError, match="no transform"):
        resolve_transform(ScaleFinding("linear", ""), "log10", "a")


def test_counts_are_called_counts():
    assert any("counts" in note for note in expression_table(made([[50, 3], [2, 1]])).notes)


# ---- STAR files of the GDC

TP53, KRAS = ("ENSG00000141510.18", "TP53"), ("ENSG00000133703.14", "KRAS")
PLCXD1 = ("ENSG00000182378.15", "PLCXD1")
PLCXD1_Y = ("ENSG00000182378.15_PAR_Y", "PLCXD1")


def star(values, name="a.tsv", column="tpm_unstranded"):
    return parse_star(layouts.stream(layouts.star(values)), name, column)


def test_star_files_become_a_matrix():
    first = star({TP53: 3.0, KRAS: 1.0, PLCXD1: 7.0, PLCXD1_Y: 0.0})
    second = star({TP53: 1.0, KRAS: 3.0, PLCXD1: 15.0, PLCXD1_Y: 0.0})
    assert first.symbols == ("TP53", "KRAS", "PLCXD1")
    assert first.gene_model == "gene-model: GENCODE v36"
    pairs = [("TCGA-05-0001-01A", first), ("TCGA-05-0002-01A", second)]
    table = expression_table(combine_star(pairs, "folder"))
    assert table.values.values.tolist() == [[2, 1, 3], [1, 2, 4]]
    assert any("GENCODE v36" in note for note in table.notes)
    ids = combine_star(pairs, "folder", gene_names="id")
    assert ids.genes[0] == "ENSG00000141510"


@pytest.mark.parametrize(
    ("column", "values"), [("fpkm_unstranded", [3.0, 0.5]), ("unstranded", [0, 10])]
)
def test_other_columns_of_star_files(column, values):
    assert star({TP53: 6.0, KRAS: 1.0}, column=column).values.tolist() == values


def test_bad_star_files():
    with pytest.raises(InputError, match=r"b.tsv and a.tsv have other genes"):
        combine_star([("P1", star({TP53: 1})), ("P2", star({KRAS: 1}, "b.tsv"))], "folder")
    with pytest.raises(InputError, match="holds no STAR file"):
        combine_star([], "folder")
    with pytest.raises(InputError, match=r"tpm_unstranded of ENSG00000141510 is missing"):
        star({TP53: -1})
    with pytest.raises(InputError, match=r"lacks the column.*gene_name"):
        parse_star(layouts.stream("gene_id\tcount\nENSG1\t1\n"), "htseq.counts")
    with pytest.raises(InputError, match="has no genes"):
        star({})


@pytest.mark.real
def test_luad_is_z_scores_and_is_left_alone(luad):
    with (luad / "luad_expression.tsv").open("rb") as file:
        matrix = parse_expression(file, "luad_expression.tsv")
    table = expression_table(matrix)
    assert detect_scale(matrix.values).scale == "centered"
    assert any("z-scores" in note and "no logarithm was taken" in note for note in table.notes)
    assert table.values.shape == (453, 1555)
    assert len(table.drops) == 0
    source = pd.read_csv(luad / "luad_porpoise.csv.zip").drop_duplicates("case_id")
    cells = source.set_index("case_id").filter(regex="_rnaseq$").rename(columns=lambda c: c[:-7])
    wanted = cells.loc[table.values.index, table.values.columns]
    np.testing.assert_array_equal(table.values, wanted)
    with pytest.raises(InputError, match="will not be logged"):
        expression_table(matrix, transform="log2p1")

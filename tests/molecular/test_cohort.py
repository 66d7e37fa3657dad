"""One row for each patient, and a reason for everybody else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.tables import COHORT, DROPS
from histograft.molecular.cohort import CohortRules, build_cohort
from histograft.molecular.drops import join_drops
from histograft.molecular.expression import expression_table
from histograft.molecular.expression_files import parse_expression
from histograft.molecular.maf import parse_maf
from histograft.molecular.mutations import mutation_table
from histograft.molecular.name_lists import parse_sequenced

A, B, C = "TCGA-05-0001", "TCGA-44-0002", "TCGA-05-0003"
TISSUE = {"tissue_mm2": [10.0, 2.0, np.nan, 5.0]}
SLIDES = [f"{A}-01A-01-TS1", f"{A}-01Z-00-DX1", f"{B}-01A-01-BS1", f"{C}-11A-01-TS1"]


def slides(ids=SLIDES, **columns):
    return pd.DataFrame({"slide_id": list(ids)} | columns)


def known(*patients):
    return pd.DataFrame({"TP53": 1.0}, index=list(patients))


def reasons(cohort, kind):
    rows = cohort.drops[cohort.drops["kind"] == kind]
    return dict(zip(rows["name"], rows["reason"], strict=True))


def test_slides_and_tables_are_joined_by_patient():
    cohort = build_cohort(slides(), {"mutations": known(A, C), "expression": known(A, B, "P9")})
    assert cohort.patients.to_dict("records") == [
        {
            **{"patient_id": A, "n_slides": 2, "slide_ids": "|".join(SLIDES[:2]), "site": "05"},
            **{"slide_kinds": "diagnostic|frozen", "has_mutations": True, "has_expression": True},
        },
        {
            **{"patient_id": B, "n_slides": 1, "slide_ids": SLIDES[2], "site": "44"},
            **{"slide_kinds": "frozen", "has_mutations": False, "has_expression": True},
        },
    ]
    assert reasons(cohort, "patient") == {C: "no-slide-kept", "P9": "no-slide"}
    assert reasons(cohort, "slide") == {SLIDES[3]: "sample-type"}
    assert any("1 patients have frozen and diagnostic slides" in note for note in cohort.notes)


def test_rules_say_what_is_used():
    tables = {"mutations": known(A, B, C), "expression": known(A, C)}
    frozen = build_cohort(slides(), tables, CohortRules(slide_kind="frozen"))
    assert reasons(frozen, "slide") == {SLIDES[1]: "slide-kind", SLIDES[3]: "sample-type"}
    both = build_cohort(slides(), tables, CohortRules(needs="all"))
    assert both.patients["patient_id"].tolist() == [A]
    assert reasons(both, "patient")[B] == "no-expression"
    normal = build_cohort(slides(), tables, CohortRules(sample_types=("01", "11")))
    assert normal.patients["patient_id"].tolist() == [A, C, B]
    large = build_cohort(slides(**TISSUE), tables, CohortRules(least_tissue_mm2=5))
    assert large.slides["slide_id"].tolist() == SLIDES[:1]
    assert large.patients["tissue_mm2"].tolist() == [10]
    assert reasons(large, "slide") == {
        **{SLIDES[1]: "tissue", SLIDES[2]: "tissue", SLIDES[3]: "sample-type"}
    }


def test_a_patient_of_whom_nothing_is_known_is_not_measured():
    empty = pd.DataFrame({"TP53": [np.nan, 1.0]}, index=[A, B])
    assert build_cohort(slides(), {"mutations": empty}).patients["patient_id"].tolist() == [B]


def test_own_patients_obey_no_rule_of_barcodes():
    own = slides(["17.svs", "18.svs", "x.svs"], patient_id=["17", "18", None], site=["K", "", "K"])
    rules = CohortRules(slide_kind="frozen", sample_types=("06",))
    cohort = build_cohort(own, {"expression": known("17", "18")}, rules)
    assert cohort.patients["patient_id"].tolist() == ["17", "18"]
    assert cohort.patients["site"].fillna("").tolist() == ["K", ""]
    assert reasons(cohort, "slide") == {"x.svs": "patient-unknown"}


def test_numbers_and_small_letters_as_names():
    numbers = pd.DataFrame({"slide_id": [1, 2], "patient_id": [17, 18]})
    assert build_cohort(numbers, {"a": known("17")}).patients["patient_id"].tolist() == ["17"]
    small = slides([SLIDES[0].lower()], patient_id=[f"{A}-01".lower()])
    assert build_cohort(small, {"mutations": known(A)}).patients["patient_id"].tolist() == [A]


def test_own_names_may_stand_for_barcodes_but_not_other_barcodes():
    renamed = slides(SLIDES[:1], patient_id=["17"])
    assert build_cohort(renamed, {"mutations": known("17")}).patients["n_slides"].tolist() == [1]
    with pytest.raises(InputError, match=f"listed under the patient {B}.*says {A}"):
        build_cohort(slides(SLIDES[:1], patient_id=[B]), {"mutations": known(B)})


def test_a_slide_listed_twice():
    twice = slides(["s", "s", "t"], patient_id=["P1", "P1", "P2"])
    cohort = build_cohort(twice, {"mutations": known("P1", "P2")})
    assert cohort.patients["n_slides"].tolist() == [1, 1]
    assert reasons(cohort, "slide") == {"s": "listed-twice"}
    with pytest.raises(InputError, match=r"slide s belongs to several patients \(P1, P2\)"):
        build_cohort(slides(["s", "s"], patient_id=["P1", "P2"]), {"mutations": known("P1")})


@pytest.mark.parametrize(
    ("table", "rules", "message"),
    [
        (slides([]), {}, "names no slide"),
        (pd.DataFrame({"file": ["a"]}), {}, "lacks the column.*slide_id"),
        (slides(), {"least_tissue_mm2": 1}, "does not state how much tissue"),
        (slides(SLIDES[3:]), {}, "none of 1 slides is kept"),
        (slides(["17"], patient_id=["17"]), {}, "no patient has both.*17.*mutations: TCGA"),
    ],
)
def test_nobody_is_left(table, rules, message):
    with pytest.raises(InputError, match=message):
        build_cohort(table, {"mutations": known(A)}, CohortRules(**rules))


@pytest.mark.parametrize(
    "rules", [{"slide_kind": "ffpe"}, {"needs": "some"}, {"least_tissue_mm2": float("nan")}]
)
def test_rules_are_checked(rules):
    with pytest.raises(InputError):
        CohortRules(**rules)


ID = st.sampled_from(["P0", "P1", "P2", "P3", A, B, C])


@given(st.lists(st.tuples(st.integers(0, 9), ID, st.floats(0, 3)), min_size=1), st.sets(ID))
def test_everybody_is_used_or_dropped_once(rows, measured):
    owner = {}
    rows = [(f"s{i}", owner.setdefault(i, p), area) for i, p, area in rows]
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "tissue_mm2"])
    try:
        cohort = build_cohort(table, {"a": known(*measured)}, CohortRules(least_tissue_mm2=1))
    except InputError:
        return
    dropped = cohort.drops
    n_slides = int(dropped.loc[dropped["kind"] == "slide", "count"].sum())
    assert cohort.patients["n_slides"].sum() + n_slides == len(rows)
    patients = dropped.loc[dropped["kind"] == "patient", "name"]
    everybody = [*cohort.patients["patient_id"], *patients]
    assert sorted(everybody) == sorted({p for _, p, _ in rows} | measured)


@pytest.mark.real
def test_luad_joins_without_loss(luad):
    with (luad / "luad_mutations.maf").open("rb") as file:
        maf = parse_maf(file, "luad_mutations.maf")
    with (luad / "luad_sequenced.txt").open("rb") as file:
        sequenced = parse_sequenced(file, "luad_sequenced.txt")
    with (luad / "luad_expression.tsv").open("rb") as file:
        matrix = parse_expression(file, "luad_expression.tsv")
    mutations = mutation_table(maf, sequenced=sequenced)
    expression = expression_table(matrix)
    listed = pd.read_csv(luad / "luad_slides.csv")
    tables = {"mutations": mutations.values, "expression": expression.values}
    cohort = build_cohort(listed, tables)
    assert (len(cohort.patients), len(cohort.slides), len(cohort.drops)) == (453, 515, 0)
    several = cohort.patients["n_slides"]
    assert ((several == 1).sum(), (several > 1).sum(), several.max()) == (433, 20, 10)
    assert set(cohort.patients["slide_kinds"]) == {"diagnostic"}
    drops = join_drops([mutations.drops, expression.drops, cohort.drops])
    assert DROPS.check(drops, "drops").empty
    COHORT.check(cohort.patients, "cohort")
    with pytest.raises(InputError, match="none of 515 slides is kept"):
        build_cohort(listed, tables, CohortRules(slide_kind="frozen"))

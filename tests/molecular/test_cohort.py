"""One row for each patient, and a reason for everybody else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.tables import DROPS
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


def reasons(cohort, kind):
    rows = cohort.drops[cohort.drops["kind"] == kind]
    return dict(zip(rows["name"], rows["reason"], strict=True))


def test_rules_say_what_is_used():
    cohort = build_cohort(slides())
    assert cohort.slides.values.tolist() == [[SLIDES[0], A], [SLIDES[1], A], [SLIDES[2], B]]
    assert reasons(cohort, "patient") == {C: "no-slide-kept"}
    assert reasons(cohort, "slide") == {SLIDES[3]: "sample-type"}
    assert any("1 patients have frozen and diagnostic slides" in note for note in cohort.notes)
    frozen = build_cohort(slides(), CohortRules(slide_kind="frozen"))
    assert reasons(frozen, "slide") == {SLIDES[1]: "slide-kind", SLIDES[3]: "sample-type"}
    assert not frozen.notes
    normal = build_cohort(slides(), CohortRules(sample_types=("01", "11")))
    assert normal.slides["patient_id"].tolist() == [A, A, B, C]
    large = build_cohort(slides(**TISSUE), CohortRules(least_tissue_mm2=5))
    assert large.slides["slide_id"].tolist() == SLIDES[:1]
    assert reasons(large, "slide") == {
        **{SLIDES[1]: "tissue", SLIDES[2]: "tissue", SLIDES[3]: "sample-type"}
    }


def test_own_patients_obey_no_rule_of_barcodes():
    own = slides(["17.svs", "18.svs", "x.svs"], patient_id=["17", "18", None])
    rules = CohortRules(slide_kind="frozen", sample_types=("06",))
    cohort = build_cohort(own, rules)
    assert cohort.slides["patient_id"].tolist() == ["17", "18"]
    assert reasons(cohort, "slide") == {"x.svs": "patient-unknown"}


def test_numbers_and_small_letters_as_names():
    numbers = pd.DataFrame({"slide_id": [1, 2], "patient_id": [17, 18]})
    assert build_cohort(numbers).slides["patient_id"].tolist() == ["17", "18"]
    small = slides([SLIDES[0].lower()], patient_id=[f"{A}-01".lower()])
    assert build_cohort(small).slides["patient_id"].tolist() == [A]


def test_own_names_may_stand_for_barcodes_but_not_other_barcodes():
    renamed = slides(SLIDES[:1], patient_id=["17"])
    assert build_cohort(renamed).slides["patient_id"].tolist() == ["17"]
    with pytest.raises(InputError, match=f"listed under the patient {B}.*says {A}"):
        build_cohort(slides(SLIDES[:1], patient_id=[B]))


def test_a_slide_listed_twice():
    twice = slides(["s", "s", "t"], patient_id=["P1", "P1", "P2"])
    cohort = build_cohort(twice)
    assert cohort.slides.values.tolist() == [["s", "P1"], ["t", "P2"]]
    assert reasons(cohort, "slide") == {"s": "listed-twice"}
    with pytest.raises(InputError, match=r"slide s belongs to several patients \(P1, P2\)"):
        build_cohort(slides(["s", "s"], patient_id=["P1", "P2"]))


@pytest.mark.parametrize(
    ("table", "rules", "message"),
    [
        (slides([]), {}, "names no slide"),
        (pd.DataFrame({"file": ["a"]}), {}, "lacks the column.*slide_id"),
        (slides(), {"least_tissue_mm2": 1}, "does not state how much tissue"),
        (slides(SLIDES[3:]), {}, "none of 1 slides is kept"),
    ],
)
def test_nobody_is_left(table, rules, message):
    with pytest.raises(InputError, match=message):
        build_cohort(table, CohortRules(**rules))


@pytest.mark.parametrize("rules", [{"slide_kind": "ffpe"}, {"least_tissue_mm2": float("nan")}])
def test_rules_are_checked(rules):
    with pytest.raises(InputError):
        CohortRules(**rules)


ID = st.sampled_from(["P0", "P1", "P2", "P3", A, B, C])


@given(st.lists(st.tuples(st.integers(0, 9), ID, st.floats(0, 3)), min_size=1))
def test_everybody_is_used_or_dropped_once(rows):
    owner = {}
    rows = [(f"s{i}", owner.setdefault(i, p), area) for i, p, area in rows]
    table = pd.DataFrame(rows, columns=["slide_id", "patient_id", "tissue_mm2"])
    try:
        cohort = build_cohort(table, CohortRules(least_tissue_mm2=1))
    except InputError:
        return
    dropped = cohort.drops
    n_slides = int(dropped.loc[dropped["kind"] == "slide", "count"].sum())
    assert len(cohort.slides) + n_slides == len(rows)
    patients = dropped.loc[dropped["kind"] == "patient", "name"]
    everybody = [*set(cohort.slides["patient_id"]), *patients]
    assert sorted(everybody) == sorted({p for _, p, _ in rows})


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
    cohort = build_cohort(listed)
    several = cohort.slides["patient_id"].value_counts()
    assert (len(several), len(cohort.slides), len(cohort.drops)) == (453, 515, 0)
    assert set(several.index) == set(mutations.values.index) == set(expression.values.index)
    assert ((several == 1).sum(), (several > 1).sum(), several.max()) == (433, 20, 10)
    assert not cohort.notes
    drops = join_drops([mutations.drops, expression.drops, cohort.drops])
    assert DROPS.check(drops, "drops").empty
    with pytest.raises(InputError, match="none of 515 slides is kept"):
        build_cohort(listed, CohortRules(slide_kind="frozen"))

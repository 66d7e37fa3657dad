"""The report of a ladder: conditions, metrics, tests and the sentence, from scores made by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from histograft.core.artefact import Identity, Input, claim, open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.core.tables import RESULTS
from histograft.stats.crossed import crossed_difference, crossed_paired_difference, mean_metric
from histograft.verbs.ladder import Ladder, ladder
from histograft.verbs.ladder_baselines import compared_accuracies, student_pairs
from histograft.verbs.ladder_gains import gained_pairs
from histograft.verbs.ladder_paper import results_as_printed
from histograft.verbs.ladder_tables import Rung, find_rungs, judge

N = 160  # test pieces of 80 patients
TRUTH = np.array(["a", "b"])[(np.arange(N) // 2) % 2]


def network(folder, level, seed, wrong, *, teacher=None, start=None, n_unlabelled=0, n=N, slides=0):
    """A network artefact as `distill` makes it, without weights, wrong on some test pieces.

    With ``slides`` patients have eight pieces, and each of so many pieces is a slide.
    """
    rng = np.random.default_rng(1000 * seed + wrong)
    right = np.ones(n, bool)
    right[rng.choice(n, wrong, replace=False)] = False
    p_truth = np.where(right, rng.uniform(0.6, 0.99, n), rng.uniform(0.01, 0.4, n))
    p_a = np.where(TRUTH[:n] == "a", p_truth, 1 - p_truth)
    scores = pd.DataFrame(
        {
            "patch_id": [f"{i:03d}" for i in range(n)],
            "dataset": "set",
            "group": [f"p{i // 2}" for i in range(n)],
            "group_source": "samples",
            "split": "test",
            "truth": TRUTH[:n],
            "predicted": np.where(p_a > 0.5, "a", "b"),
            "p:a": p_a,
            "p:b": 1 - p_a,
        }
    )
    if slides:
        number = np.arange(n)
        truth = np.where((number // 8) % 2, "a", "b")
        p_a = np.where(truth == TRUTH[:n], p_a, 1 - p_a)
        scores = scores.assign(truth=truth, group=[f"p{i // 8}" for i in range(n)])
        scores = scores.assign(slide_id=[f"s{i // slides}" for i in range(n)])
        scores = scores.assign(**{"p:a": p_a, "p:b": 1 - p_a})
        scores["predicted"] = np.where(p_a > 0.5, "a", "b")
    inputs = [Input("patches", "patches", str(level))]
    inputs += [Input("teacher", "network", teacher.id)] if teacher else []
    inputs += [Input("start", "network", start.id)] if start else []
    config = {"level": level, "n_unlabelled": n_unlabelled}
    draft = claim(folder, Identity("network", "distill", 1, config, tuple(inputs), seed))
    with draft:
        with draft.writing("scores.parquet") as path:
            scores.sample(frac=1, random_state=seed).to_parquet(path, index=False)
        macs = 5016 * (1024 / level) ** 2
        facts = {"level": level, "scale": "mpp", "classes": ["a", "b"], "macs_per_piece": macs}
        return draft.finish(facts | {"n_unlabelled": n_unlabelled})


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Students lose nothing at 2 µm/px and much at 4; unlabelled pieces help."""
    folder = tmp_path_factory.mktemp("networks")
    made = []
    for seed in (0, 1):
        own = folder / str(seed)
        own.mkdir()
        teacher = network(own / "teacher", 1.0, seed, 6)
        student = network(own / "ad-4", 4.0, seed, 20, teacher=teacher, n_unlabelled=50)
        made += [
            teacher,
            network(own / "base-2", 2.0, seed, 24),
            network(own / "kd-2", 2.0, seed, 5, teacher=teacher),
            network(own / "base-4", 4.0, seed, 40),
            network(own / "kd-4", 4.0, seed, 36, teacher=teacher),
            student,
            network(own / "ad-4-tuned", 4.0, seed, 19, start=student),
        ]
    return made


@pytest.fixture(scope="module")
def report(networks, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report"
    config = Ladder(
        networks=tuple(n.path for n in networks), out=out, margin=0.04, draws=2000, repeats=0
    )
    return ladder(config)


def test_pieces_slides_and_patients_are_judged_at_once(tmp_path):
    made = []
    for name, level, wrong in (("teacher", 1.0, 20), ("kd", 2.0, 30)):
        own = network(
            tmp_path / name, level, 0, wrong, slides=4, teacher=made[0] if made else None
        )  # fmt: skip
        made.append(own)
    config = Ladder(
        networks=tuple(n.path for n in made), out=tmp_path / "report", draws=200, repeats=0
    )
    report = ladder(config)
    table = pd.read_csv(report.file("ladder.csv"))
    rows = table[(table["condition"] == "kd") & (table["metric"] == "accuracy_top1")]
    scores = pd.read_parquet(made[1].file("scores.parquet"))
    of_kd = rows[rows["seed"].astype(str) == "all"].set_index("unit")["value"]
    assert list(of_kd.index) == ["piece", "slide", "group"]
    for unit, column in (("slide", "slide_id"), ("group", "group")):
        means = scores.groupby(column).agg({"truth": "first", "p:a": "mean"})
        expected = accuracy_score(means["truth"] == "a", means["p:a"] > 0.5)
        assert of_kd[unit] == pytest.approx(expected)
    assert "top-1 by slide, %" in report.file("index.html").read_text(encoding="utf-8")


def test_a_teacher_that_is_no_better_than_one_class_is_said_to_be(tmp_path):
    teacher = network(tmp_path / "teacher", 1.0, 0, N // 2)  # right on half of two equal classes
    student = network(tmp_path / "kd", 2.0, 0, N // 2, teacher=teacher)
    config = Ladder(
        networks=(teacher.path, student.path), out=tmp_path / "report", draws=200, repeats=0
    )
    answer = ladder(config).facts["answer"]
    assert "not shown to do better than naming the most frequent class always (50.0 %)" in answer
    assert "160 pieces of 80 groups tested, which tell as much as " in answer
    assert "independent ones; 183 or more are needed" in answer


def test_networks_are_sorted_into_conditions(networks):
    rungs = find_rungs(networks[::-1])
    assert [rung.key for rung in rungs] == [
        (1.0, "teacher", 0, False),
        (2.0, "baseline", 0, False),
        (2.0, "kd", 0, False),
        (4.0, "baseline", 0, False),
        (4.0, "kd", 0, False),
        (4.0, "kd-ad", 50, False),
        (4.0, "kd-ad", 50, True),
    ]
    assert all(rung.seeds == [0, 1] for rung in rungs)


def test_the_ladder_holds_what_scikit_learn_says(networks, report):
    table = pd.read_csv(report.file("ladder.csv"))
    by_group = table[table["unit"] == "group"]
    table = table[table["unit"] == "piece"]
    rows = table[(table["mpp"] == 4) & (table["condition"] == "kd")]
    metrics = {"accuracy_top1": [], "macro_f1": [], "macro_auroc": []}
    for seed, made in enumerate(networks[4::7]):
        scores = pd.read_parquet(made.file("scores.parquet"))
        found = {
            "accuracy_top1": accuracy_score(scores["truth"], scores["predicted"]),
            "macro_f1": f1_score(scores["truth"], scores["predicted"], average="macro"),
            "macro_auroc": roc_auc_score(scores["truth"] == "b", scores["p:b"]),
        }
        for name, value in found.items():
            of_seed = rows[(rows["metric"] == name) & (rows["seed"] == str(seed))]
            assert of_seed["value"].item() == pytest.approx(value)
            metrics[name].append(value)
    for name, values in metrics.items():
        whole = rows[(rows["metric"] == name) & (rows["seed"] == "all")]
        assert whole["value"].item() == pytest.approx(np.mean(values))
        assert whole["ci_low"].item() < np.mean(values) < whole["ci_high"].item()
        assert whole["seed_sd"].item() == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert rows["gmacs"].unique() == pytest.approx([5016 * 256**2 / 1e9])
    assert "accuracy_rd_published" not in set(table["metric"])
    means = [
        pd.read_parquet(made.file("scores.parquet"))
        .groupby("group")
        .agg({"truth": "first", "p:a": "mean"})
        for made in networks[4::7]
    ]
    expected = np.mean([((m["p:a"] > 0.5) == (m["truth"] == "a")).mean() for m in means])
    found = by_group[(by_group["mpp"] == 4) & (by_group["condition"] == "kd")]
    found = found[found["metric"] == "accuracy_top1"]
    assert found["value"].item() == pytest.approx(expected)


def test_the_answer_names_the_coarsest_scale_that_holds(report):
    assert "Down to 2 µm/px less than 4 points" in report.facts["answer"]
    assert ": KD," in report.facts["answer"]
    assert "this says little" not in report.facts["answer"]
    assert "1/4 of the multiplications" in report.facts["answer"]
    table = pd.read_csv(report.file("comparisons.csv"))
    teacher = table[table["compared_with"] == "teacher"]
    assert len(teacher) == 6
    keys = [tuple(k) for k in teacher[["mpp", "condition"]][teacher["non_inferior"]].to_numpy()]
    assert keys == [(2.0, "kd")]
    base = table[(table["compared_with"] == "baseline") & (table["mpp"] == 2)]
    assert base["difference"].iloc[0] == pytest.approx((24 - 5) / N)
    page = report.file("index.html").read_text()
    assert "Down to 2" in page
    assert json.loads((report.path / "manifest.json").read_text())["kind"] == "report"
    assert (report.path / "figures" / "cost.svg").is_file()


def test_results_are_in_the_columns_of_all_reports(networks, report):
    results = RESULTS.check(pd.read_csv(report.file("results.csv")), "results.csv")
    assert set(results["model"]) == {
        "teacher-1", "baseline-2", "kd-2", "baseline-4", "kd-4", "kd-ad-50-4", "kd-ad-50-tuned-4"
    }  # fmt: skip
    assert results["label"][results["model"] == "kd-2"].iloc[0] == "KD, 2 µm/px"
    row = results.set_index(["model", "metric"]).loc[("kd-2", "accuracy_top1")]
    right = [right_of(networks, at).mean(1) for at in (1, 2)]  # baseline and student, by seed
    assert row["value"] == pytest.approx(right[1].mean())
    assert row["repeat_sd"] == pytest.approx(right[1].std(ddof=1), abs=1e-9)
    assert row["compared_with"] == "baseline-2"
    assert row["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    assert (row["test"], row["n_units"], row["n_groups"]) == ("crossed", N, N // 2)
    assert row["p_value"] <= row["p_adjusted"] < 0.01
    assert row["ci_unit"] == "group"
    alone = results[~results["model"].str.startswith("kd")]
    assert alone["compared_with"].isna().all()


class Heard:
    """Keeps the tables that are printed."""

    def __init__(self):
        self.tables = {}

    def __getattr__(self, name):
        return getattr(SILENT, name)

    def table(self, title, columns, rows):
        self.tables[title] = pd.DataFrame(rows, columns=columns)


def test_results_are_printed_as_the_paper_prints_them(networks, tmp_path):
    heard = Heard()
    config = Ladder(
        networks=tuple(n.path for n in networks), out=tmp_path / "r", draws=500, repeats=0,
        published=True,
    )  # fmt: skip
    made = ladder(config, heard)
    [(title, told)] = heard.tables.items()  # no patches were given
    assert title == "results, % (95 % interval)"
    metrics = ["accuracy (top-1)", "the paper's accuracy", "F1-score", "precision", "recall"]
    assert list(told.columns) == ["scale: condition", *metrics]
    assert told.iloc[-1, 0] == "4 µm/px: KD on 50 unlabelled, fine-tuned"
    table = pd.read_csv(made.file("ladder.csv"))
    table = table[(table["unit"] == "piece") & (table["seed"] == "all")]
    of_f1 = table[table["metric"] == "macro_f1"]
    expected = [
        "{:.1f} ({:.1f}–{:.1f})".format(*(100 * row[["value", "ci_low", "ci_high"]]))
        for _, row in of_f1.iterrows()
    ]
    assert told["F1-score"].tolist() == [
        "{:.1f} ({:.0f}–{:.0f})".format(*(100 * row[["value", "ci_low", "ci_high"]]))
        for _, row in of_f1.iterrows()
    ]
    judged = judge(find_rungs(networks), margin=0.02, n_draws=500, published=True, seed=0)
    of_teacher, found = results_as_printed(judged)
    assert list(of_teacher) == ["metric", "teacher, 1 µm/px"]
    assert found["scale"].unique().tolist() == ["4 µm/px", "2 µm/px"]  # as the paper: coarse first
    row = found[(found["scale"] == "4 µm/px") & (found["metric"] == "F1-score")].iloc[0]
    assert row["baseline"] == expected[3]
    assert row["KD on 50 unlabelled, fine-tuned"] == expected[6] + "*"  # one fewer is wrong
    assert sum(cell.endswith("*") for cell in row) == 1
    other = found[(found["scale"] == "2 µm/px") & (found["metric"] == "recall")].iloc[0]
    assert other["KD on 50 unlabelled"] == "–"
    assert "As the paper prints them" in made.file("index.html").read_text(encoding="utf-8")


def test_nothing_shown_is_said_so(networks, tmp_path):
    chosen = [n for n in networks if n.facts["level"] != 2]
    config = Ladder(
        networks=tuple(n.path for n in chosen), out=tmp_path / "r", draws=500, repeats=0,
        published=True,
    )  # fmt: skip
    made = ladder(config)
    assert made.facts["answer"].startswith("At no scale coarser than the teacher's (1 µm/px)")
    assert "accuracy_rd_published" in set(pd.read_csv(made.file("ladder.csv"))["metric"])


@pytest.mark.parametrize("margin", [0.0, -0.02, 1.0, 2.0, float("nan")])
def test_a_margin_is_a_share(tmp_path, margin):
    with pytest.raises(InputError, match=r"0\.02 is a loss of 2 points"):
        Ladder(networks=(), out=tmp_path / "r", margin=margin)


def test_networks_that_are_no_ladder_are_refused(networks, tmp_path):
    with pytest.raises(InputError, match="no teacher"):
        find_rungs([n for n in networks if n.facts["level"] == 4])
    with pytest.raises(InputError, match=r"has the seeds \[0\], the teacher \[0, 1\]"):
        find_rungs(networks[:-1])
    other = network(tmp_path / "other", 8.0, 0, 3, teacher=networks[0], n=100)
    config = Ladder(
        networks=(networks[0].path, other.path), out=tmp_path / "r", draws=500, repeats=0
    )
    with pytest.raises(InputError, match="other pieces than the teacher"):
        ladder(config)
    assert open_artefact(other.path).id == other.id


def test_students_are_tested_against_their_baseline(networks, report):
    """With two seeds by the crossed test, of accuracies that are computed here anew."""
    table = pd.read_csv(report.file("comparisons.csv"))
    rows = table[(table["compared_with"] == "baseline") & (table["metric"] == "accuracy_top1")]
    assert len(rows) == 4
    assert set(rows["test"]) == {"crossed"}
    right = {}
    for name, at in (("base", 1), ("kd", 2)):
        tables = [pd.read_parquet(n.file("scores.parquet")) for n in networks[at::7]]
        ordered = [t.sort_values("patch_id") for t in tables]
        right[name] = np.array([(t["truth"] == t["predicted"]).to_numpy(float) for t in ordered])
    groups = np.arange(N) // 2
    expected = crossed_difference(
        mean_metric(right["kd"], groups), mean_metric(right["base"], groups)
    )
    row = rows[rows["mpp"] == 2].iloc[0]
    for column, value in (("p", expected.p_value), ("ci_low", expected.low)):
        assert row[column] == pytest.approx(value)
    assert row["p"] < 1e-3
    p = rows["p"].to_numpy()
    by_hand = np.maximum.accumulate(np.sort(p) * np.arange(4, 0, -1)).clip(max=1)
    assert np.sort(rows["p_holm"]) == pytest.approx(by_hand)
    further = table[(table["compared_with"] == "baseline") & (table["metric"] == "macro_f1")]
    assert further["p"].isna().all()
    assert "new seeds alike" in report.file("index.html").read_text()


def right_of(networks, at):
    """Whether each piece was right, (seeds, pieces), of the condition that was made as this one."""
    tables = [pd.read_parquet(n.file("scores.parquet")) for n in networks[at::7]]
    ordered = [table.sort_values("patch_id") for table in tables]
    return np.array([(t["truth"] == t["predicted"]).to_numpy(float) for t in ordered])


def test_the_teacher_is_compared_for_new_seeds_too(networks, report):
    table = pd.read_csv(report.file("comparisons.csv"))
    row = table[(table["compared_with"] == "teacher") & (table["condition"] == "kd")].iloc[0]
    assert row["mpp"] == 2
    groups = np.arange(N) // 2
    teacher, student = (mean_metric(right_of(networks, at), groups) for at in (0, 2))
    expected = crossed_paired_difference(student, teacher)
    assert row["ci_low_new_seeds"] == pytest.approx(expected.low)
    assert row["ci_high_new_seeds"] == pytest.approx(expected.high)
    of_teacher = table[table["compared_with"] == "teacher"]
    assert (of_teacher["p_holm_new_seeds"] >= of_teacher["p_holm"]).all()  # seeds only add chance
    page = report.file("index.html").read_text(encoding="utf-8")
    shown = "This is shown" if row["non_inferior_new_seeds"] else "It is not shown"
    assert f"{shown} for networks trained anew from other seeds too" in report.facts["answer"]
    assert "adj. p, new seeds too" in page


def test_one_seed_says_nothing_of_new_ones(networks, tmp_path):
    chosen = tuple(n.path for n in (networks[0], networks[2]))
    report = ladder(Ladder(networks=chosen, out=tmp_path / "r", margin=0.04, draws=2000, repeats=0))
    assert "One seed does not tell" in report.facts["answer"]
    assert "non_inferior_new_seeds" not in pd.read_csv(report.file("comparisons.csv"))


def test_unlabelled_pieces_and_fine_tuning_are_compared_with_less(networks, report):
    table = pd.read_csv(report.file("comparisons.csv")).set_index("compared_with")
    more, tuned = table.loc["kd"], table.loc["before fine-tuning"]
    assert (more["condition"], more["fine_tuned"], tuned["fine_tuned"]) == ("kd-ad", False, True)
    assert more["difference"] == pytest.approx((36 - 20) / N)
    assert tuned["difference"] == pytest.approx(1 / N)
    groups = np.arange(N) // 2
    found = [mean_metric(right_of(networks, at), groups) for at in (5, 4)]
    expected = crossed_paired_difference(*found).p_value
    assert more["p"] == pytest.approx(expected)
    both = sorted([more["p"], tuned["p"]])
    assert more["p_holm"] == pytest.approx(min(1, both[0] * 2 if more["p"] == both[0] else both[1]))
    page = report.file("index.html").read_text(encoding="utf-8")
    assert "More unlabelled pieces, and fine-tuning" in page


def test_a_larger_share_is_compared_with_the_next_smaller_one():
    def rung(n, tuned):
        return Rung(4.0, "kd-ad" if n else "kd", n, tuned, ())

    rungs = [Rung(1.0, "teacher", 0, False, ()), Rung(4.0, "baseline", 0, False, ())]
    rungs += [rung(0, False), rung(10, False), rung(10, True), rung(20, False), rung(20, True)]
    assert gained_pairs(rungs) == [
        (3, 2, "kd"),
        (4, 3, "before fine-tuning"),
        (5, 3, "fewer unlabelled"),
        (6, 5, "before fine-tuning"),
        (6, 4, "fewer unlabelled"),
    ]


def test_one_seed_is_tested_by_sign_flips(networks):
    rungs = find_rungs(networks[:3])  # teacher, baseline and student of one seed
    [found] = compared_accuracies(rungs, student_pairs(rungs), 0)
    assert found["test"] == "sign flips"
    assert found["difference"] == pytest.approx((24 - 5) / N)
    assert 0 < found["p"] == found["p_holm"] < 0.01  # one test: nothing to adjust
    assert "ci_low" not in found

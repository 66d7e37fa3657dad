"""The report page of a ladder of scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.reporter import counted
from histograft.figures.numerals import (
    format_p,
    percent,
    percent_range,
    points,
    points_range,
)
from histograft.verbs.comparison_told import records
from histograft.verbs.draw import broken
from histograft.verbs.ladder_baselines import CROSSED
from histograft.verbs.ladder_costs import COSTS, cost_section
from histograft.verbs.ladder_gains import BEFORE, FEWER, LABELLED
from histograft.verbs.ladder_leaks import leakage_caveats, leakage_section
from histograft.verbs.ladder_methods import methods_section
from histograft.verbs.ladder_tables import BASELINE, HEADLINE, TEACHER, Judged
from histograft.verbs.ladder_told import answer, caveats, condition_name, pieces_tested, scale_name
from histograft.verbs.report_sections import Sketch

if TYPE_CHECKING:
    import pandas as pd

    from histograft.core.artefact import Artefact
    from histograft.figures.page import Picture, Section
    from histograft.verbs.ladder import Ladder

SHOWN = {
    "accuracy_top1": "top-1 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_precision": "macro precision",
    "macro_auroc": "macro AUROC",
    "accuracy_ovr_macro": "one-vs-rest accuracy",
    "accuracy_rd_published": "the paper's “accuracy”",
}
HOW = (
    "Every level was made from the native image by Lanczos. The teacher looks at the finest one. "
    "Baselines learned from labels at their own scale. Distilled students (KD) learned to answer "
    "as the teacher does: on the labelled pieces, of which they read no label, or “on N "
    "unlabelled” ones (KD (AD) in the paper). Fine-tuned: then their last layer learned from "
    "labels. Values are means over seeds on the test pieces; intervals resample patients (or what "
    "is known of them) within classes and hold for new patients, not for new seeds.",
)
TESTS = (
    "A condition is non-inferior where p, after Holm over all conditions and scales of the table, "
    "is at most 0.025: then a loss of the margin or more is refuted. That a difference was not "
    "found proves nothing by itself. p is the largest of three: of the bootstrap of patients (or "
    "what is known of them); of a t test with their standard error, which holds back claims from "
    "few patients; and (1 − margin)ⁿ, what n independent pieces without one loss could show.",
    "New seeds too: by the crossed test, each student beside the teacher of its seed. It is the "
    "answer to what a new training would give, and three seeds seldom suffice for it.",
)
WITH_SEEDS = (
    "Top-1 accuracy: p and interval are those of the crossed test, whose error holds for new "
    "patients (or what is known of them) and new seeds alike."
)
WITH_FLIPS = (
    "Top-1 accuracy: p is from flipping the signs of whole groups, for the one seed that there is."
)
ABLATED = (
    "Appendix A of the paper: the loss on maps by max-pool, by bicubic, and by the mean of both. "
    "Differences of top-1 accuracy are tested as those against the baseline are, and adjusted by "
    "Holm's method over this table; the answer above takes no part in this choice.",
)
GAINS = {
    LABELLED: "KD on the labelled pieces",
    FEWER: "with fewer unlabelled pieces",
    BEFORE: "before fine-tuning",
}
GAINED = (
    "The paper claims that more unlabelled tissue makes better students, and tunes their heads on "
    "labels afterwards. Networks of one seed share their teacher and are paired; p is adjusted by "
    "Holm's method over this table.",
)
SEPARATE = (
    "Adjusted by Holm's method over all conditions and scales of this table. Other metrics are not "
    "tested; their intervals resample patients and hold for these seeds."
)


def ladder_page(
    config: Ladder,
    judged: Judged,
    tables: Mapping[str, pd.DataFrame],
    costs: Mapping[float, Mapping[str, float]],
    drawing: tuple[Sketch, Section | None, Section, Section],
    patches: Sequence[Artefact],
) -> str:
    """Write the page as HTML, and its figure by the sketch.

    The sections are what networks see, results as the paper prints them, and the pieces; the
    patches are those of the levels, the finest first.
    """
    from histograft.figures.page import Page, Section, render_page

    sketch, views, as_printed, pieces = drawing
    made = [
        Section("Accuracy and cost", text=HOW, figures=(_curve(judged, costs, sketch),)),
        _results(judged),
        as_printed,
        _against_teacher(judged, tables["comparisons.csv"]),
        _against_baseline(judged, tables["comparisons.csv"]),
        _gains(judged, tables["comparisons.csv"]),
        _ablation(judged, tables.get("ablation.csv")),
        views,
    ]
    scales = {rung.level: scale_name(rung) for rung in judged.rungs}
    made.append(cost_section(tables[COSTS], scales))
    if pieces.tables:
        made.append(pieces)
    made.append(leakage_section(patches))
    made.append(methods_section(judged, config.margin, config.draws))
    if config.commands:
        made.append(Section("Commands", code=("\n".join(broken(c) for c in config.commands),)))
    facts = {
        "test": pieces_tested(judged),
        "margin": f"{100 * config.margin:g} points of top-1 accuracy",
        "draws": f"{config.draws:,}",
        "seeds": ", ".join(map(str, judged.rungs[0].seeds)),
    }
    page = Page(
        config.title,
        answer(judged, costs),
        (),
        (*leakage_caveats(patches), *caveats(judged)),
        tuple(section for section in made if section is not None),
        facts,
        {rung.condition: rung.networks[0].id[:16] for rung in judged.rungs[:1]},
    )
    return render_page(page)


def _curve(judged: Judged, costs: Mapping[float, Mapping[str, float]], sketch: Sketch) -> Picture:
    from histograft.figures.cost_curve import CostPoint, cost_curve

    found = []
    for m, rung in enumerate(judged.rungs):
        low, high = judged.draws.interval(m, HEADLINE)
        cost = costs[rung.level]["gmacs"]
        value = judged.draws.value(m, HEADLINE)
        label = condition_name(rung)
        found.append(CostPoint(label, scale_name(rung), cost, value, low, high))
    figure = cost_curve(found[1:], found[0], SHOWN[HEADLINE])
    caption = (
        "Top-1 accuracy against the cost of a piece, 95 % intervals; the line across is the "
        "teacher, the band its interval (Fig. 3 of the paper).",
        "Lines of top-1 accuracy over cost, one for each condition.",
    )
    return sketch.picture(figure, "cost", caption)


def _results(judged: Judged) -> Section:
    import pandas as pd

    from histograft.figures.page import Section, Table

    rows = []
    for m, rung in enumerate(judged.rungs):
        row = {"scale": scale_name(rung), "condition": condition_name(rung)}
        low, high = judged.draws.interval(m, HEADLINE)
        row["top-1 accuracy, %"] = percent(judged.draws.value(m, HEADLINE))
        row["95 % interval"] = percent_range(low, high)
        for metric, name in SHOWN.items():
            if metric in judged.draws.metrics:
                row[f"{name}, %"] = percent(judged.draws.value(m, metric))
        for unit, of_unit in judged.of_units.items():
            row[f"top-1 by {unit}, %"] = percent(of_unit.value(m, HEADLINE))
        rows.append(row)
    what = "All conditions at all scales; what they cost is below."
    for unit, of_unit in judged.of_units.items():
        what += f" {counted(of_unit.n_units, unit)} decided by the mean over their pieces."
    table = Table(pd.DataFrame(rows), what, group="scale")
    return Section("Results", tables=(table,))


def _against_teacher(judged: Judged, rows: pd.DataFrame) -> Section:
    import pandas as pd

    from histograft.figures.page import Section, Table

    names = {rung.key: rung for rung in judged.rungs}
    frame = pd.DataFrame(
        {
            "scale": scale_name(names[_key(row)]),
            "condition": condition_name(names[_key(row)]),
            "points": points(row["difference"]),
            "95 % interval": points_range(row["ci_low"], row["ci_high"]),
            "p": format_p(row["p_noninferior"]),
            "adj. p": format_p(row["p_holm"]),
            "non-inferior": _shown(row["non_inferior"]),
        }
        | (_of_new_seeds(row) if judged.anew else {})
        for row in records(rows[rows["compared_with"] == TEACHER])
    )
    table = Table(frame, "Top-1 accuracy less that of the teacher.", group="scale")
    return Section("Against the teacher", text=TESTS, tables=(table,))


def _of_new_seeds(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "interval, new seeds too": points_range(row["ci_low_new_seeds"], row["ci_high_new_seeds"]),
        "adj. p, new seeds too": format_p(row["p_holm_new_seeds"]),
        "non-inferior, new seeds too": _shown(row["non_inferior_new_seeds"]),
    }


def _shown(holds: object) -> str:
    return "yes" if holds else "not shown"


def _against_baseline(judged: Judged, rows: pd.DataFrame) -> Section | None:
    import pandas as pd

    from histograft.figures.page import Section, Table

    rows = rows[rows["compared_with"] == BASELINE]
    if rows.empty:
        return None
    names = {rung.key: rung for rung in judged.rungs}
    frame = pd.DataFrame(
        {
            "scale": scale_name(names[_key(row)]),
            "condition": condition_name(names[_key(row)]),
            "metric": SHOWN[str(row["metric"])],
            "points": points(row["difference"]),
            "95 % interval": points_range(row["ci_low"], row["ci_high"]),
            "p": "" if row["p"] != row["p"] else format_p(row["p"]),
            "adj. p": "" if row["p_holm"] != row["p_holm"] else format_p(row["p_holm"]),
        }
        for row in records(rows)
    )
    table = Table(frame, "Students less the baseline of their own scale.", group="scale")
    crossed = (rows["test"] == CROSSED).any()
    text = (WITH_SEEDS if crossed else WITH_FLIPS, SEPARATE)
    return Section("Against the baseline", text=text, tables=(table,))


def _gains(judged: Judged, rows: pd.DataFrame) -> Section | None:
    import pandas as pd

    from histograft.figures.page import Section, Table

    rows = rows[rows["compared_with"].isin(GAINS)]
    if rows.empty:
        return None
    names = {rung.key: rung for rung in judged.rungs}
    frame = pd.DataFrame(
        {
            "scale": scale_name(names[_key(row)]),
            "condition": condition_name(names[_key(row)]),
            "less": GAINS[row["compared_with"]],
            "points": points(row["difference"]),
            "95 % interval": points_range(row["ci_low"], row["ci_high"]),
            "p": format_p(row["p"]),
            "adj. p": format_p(row["p_holm"]),
        }
        for row in records(rows)
    )
    table = Table(frame, "Top-1 accuracy less that of a student of the same scale.", group="scale")
    return Section("More unlabelled pieces, and fine-tuning", text=GAINED, tables=(table,))


def _ablation(judged: Judged, rows: pd.DataFrame | None) -> Section | None:
    import pandas as pd

    from histograft.figures.page import Section, Table

    if rows is None:
        return None
    scales = {rung.level: scale_name(rung) for rung in judged.rungs}
    frame = pd.DataFrame(
        {
            "scale": scales[float(row["mpp"])],
            "resize": row["resize"],
            "top-1 accuracy, %": percent(row["accuracy_top1"]),
            "macro F1, %": percent(row["macro_f1"]),
            "against": row["compared_with"],
            "points": "" if row["difference"] != row["difference"] else points(row["difference"]),
            "95 % interval": ""
            if row["ci_low"] != row["ci_low"]
            else points_range(row["ci_low"], row["ci_high"]),
            "p": "" if row["p"] != row["p"] else format_p(row["p"]),
            "adj. p": "" if row["p_holm"] != row["p_holm"] else format_p(row["p_holm"]),
        }
        for row in records(rows)
    )
    table = Table(frame, "Students (KD) by how the teacher's map was shrunk.", group="scale")
    return Section("Ways of shrinking the teacher's map", text=ABLATED, tables=(table,))


def _key(row: Mapping[str, Any]) -> tuple[float, str, int, bool]:
    return (row["mpp"], row["condition"], row["n_unlabelled"], row["fine_tuned"])

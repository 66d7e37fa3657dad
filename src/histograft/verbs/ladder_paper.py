"""The tables of DiPalma et al. 2021 in their layout, of the user's own data.

Table 1 holds sizes of pieces, Tables 2 to 4 their numbers, Table 5 the teacher, Tables 6 to 8 what
every condition reaches at every scale. doi:10.1016/j.artmed.2021.102136.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.reporter import Reporter
from histograft.figures.numerals import NOTHING, percent
from histograft.verbs.ladder_tables import STUDENT_AD, TEACHER, Judged, Rung
from histograft.verbs.ladder_told import condition_name, scale_name
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_pairs import Sets, development_rows, unlabelled_rows

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.page import Section

# As the paper has them, but for its "accuracy", which is not the share that is right.
METRICS = {
    "accuracy_top1": "accuracy (top-1)",
    "accuracy_rd_published": "the paper's accuracy",
    "macro_f1": "F1-score",
    "macro_precision": "precision",
    "balanced_accuracy": "recall",
}
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
NO_CLASS = "no class known"
BEST = "*"
LAYOUT = (
    "The layout of the paper's Tables 5 to 8: percent with 95 % intervals, F1-score, precision and "
    f"recall averaged over classes, `{BEST}` beside the largest value of a row.",
)


def sizes_as_printed(sizes: pd.DataFrame, scales: Mapping[float, str]) -> pd.DataFrame:
    """Return Table 1: height and width of the labelled pieces at each scale, pixels.

    Parameters
    ----------
    sizes : pandas.DataFrame
        As ``sizes.csv``.
    scales : mapping
        What levels are called; levels that no network sees are left out.
    """
    import pandas as pd

    rows = []
    for row in sizes.to_dict("records"):
        level = float(row["level"])
        if level not in scales:
            continue
        shown = {"scale": scales[level]}
        for what in ("median", "max"):
            for side in ("height", "width"):
                shown[f"{what} {side}"] = f"{row[f'{side}_{what}']:g}"
        for side in ("height", "width"):
            shown[f"IQR {side}"] = f"{row[f'{side}_q1']:.0f}–{row[f'{side}_q3']:.0f}"
        rows.append(shown)
    return pd.DataFrame(rows)


def counts_as_printed(
    rungs: Sequence[Rung], patches: Sequence[Artefact], unlabelled: Sequence[Artefact]
) -> pd.DataFrame:
    """Return Tables 2 to 4: pieces of each class in each split, and among the unlabelled ones.

    Classes of unlabelled pieces are counted where they are known; no network learns them.

    Parameters
    ----------
    rungs : sequence of Rung
        Say which shares of the unlabelled pieces were learned from.
    patches, unlabelled : sequence of Artefact
        Patches artefacts of the labelled and of the unlabelled pieces; all levels hold the same.
    """
    import pandas as pd

    table = load_patches(patches[0])
    columns = {
        name: table[table["split"] == split]
        for split, name in SPLITS.items()
        if (table["split"] == split).any()
    }
    development = {}
    by_id = {artefact.id: artefact for artefact in unlabelled}
    for rung in rungs:
        if rung.condition != STUDENT_AD or rung.fine_tuned:
            continue
        manifest = rung.networks[0].manifest
        used = [by_id[i["id"]] for i in manifest["inputs"] if i["id"] in by_id]
        if used:
            share = float(manifest["config"].get("unlabelled_share", 1))  # all: not written down
            rows = unlabelled_rows(Sets(patches[0], unlabelled=used[0]), share)
            columns[f"unlabelled, {rung.n_unlabelled}"] = rows
            judging = development_rows(Sets(patches[0], unlabelled=used[0]))
            if len(judging):
                development["development"] = judging
    classes = list(rungs[0].networks[0].facts["classes"])
    columns |= development
    counts = pd.DataFrame({name: _counts(rows, classes) for name, rows in columns.items()})
    if not counts.loc[NO_CLASS].any():
        counts = counts.drop(index=NO_CLASS)
    return counts.astype(str).rename_axis("class").reset_index()


def _counts(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    """Pieces of each class and of none, all of them, and their groups."""
    of_label = rows["label"].value_counts()
    of_class = {name: int(of_label.get(name, 0)) for name in classes}
    none = len(rows) - sum(of_class.values())
    return of_class | {NO_CLASS: none, "all": len(rows), "groups": rows["group"].nunique()}


def results_as_printed(judged: Judged) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return Table 5, the teacher's metrics, and Tables 6 to 8: metrics by scale and condition."""
    import pandas as pd

    teacher = judged.rungs[0]
    names = {metric: METRICS[metric] for metric in METRICS if metric in judged.draws.metrics}
    of_teacher = pd.DataFrame(
        [
            {"metric": name, f"{TEACHER}, {scale_name(teacher)}": _cell(judged, 0, metric)}
            for metric, name in names.items()
        ]
    )
    conditions = list(dict.fromkeys(condition_name(rung) for rung in judged.rungs[1:]))
    rows = []
    for level in sorted({rung.level for rung in judged.rungs[1:]}, reverse=True):
        here = {
            condition_name(rung): m
            for m, rung in enumerate(judged.rungs)
            if m and rung.level == level
        }
        scale = scale_name(judged.rungs[next(iter(here.values()))])
        for metric, name in names.items():
            best = max(judged.draws.value(m, metric) for m in here.values())
            row = {"scale": scale, "metric": name}
            for condition in conditions:
                m = here.get(condition)
                row[condition] = NOTHING if m is None else _cell(judged, m, metric, best)
            rows.append(row)
    return of_teacher, pd.DataFrame(rows)


def _cell(judged: Judged, m: int, metric: str, best: float | None = None) -> str:
    value, (low, high) = judged.draws.value(m, metric), judged.draws.interval(m, metric)
    mark = BEST if best is not None and value == best else ""
    return f"{percent(value)} ({percent(low)}–{percent(high)}){mark}"


def _brief(judged: Judged, m: int, metric: str) -> str:
    value, (low, high) = judged.draws.value(m, metric), judged.draws.interval(m, metric)
    ends = f" ({100 * low:.0f}–{100 * high:.0f})" if low == low else ""
    return f"{percent(value)}{ends}"


def paper_sections(judged: Judged, printed: Mapping[str, pd.DataFrame]) -> tuple[Section, Section]:
    """Return the results as the paper prints them, and the pieces, as parts of the page."""
    from histograft.figures.page import Section, Table

    teacher, results, sizes, counts = (printed[name] for name in PRINTED)
    of_results = Section(
        "As the paper prints them",
        text=LAYOUT,
        tables=(
            Table(teacher, "The teacher (Table 5)."),
            Table(results, "Baselines and students (Tables 6 to 8).", group="scale"),
        ),
    )
    about = f"A group is what was split and resampled: {judged.kind}."
    tables = [Table(sizes, "Sizes of the labelled pieces, pixels (Table 1).")] if len(sizes) else []
    if len(counts):
        tables.append(Table(counts, "Pieces of each class (Tables 2 to 4).", note=about))
    return of_results, Section("Pieces", tables=tuple(tables))


PRINTED = ("teacher", "baselines and students", "sizes of pieces, pixels", "pieces of each class")


def tables_as_printed(
    judged: Judged,
    sizes: pd.DataFrame,
    patches: Sequence[Artefact],
    unlabelled: Sequence[Artefact],
) -> dict[str, pd.DataFrame]:
    """Return all tables of the paper, by `PRINTED`; without patches there are none of pieces."""
    import pandas as pd

    scales = {rung.level: scale_name(rung) for rung in judged.rungs}
    of_teacher, results = results_as_printed(judged)
    counts = counts_as_printed(judged.rungs, patches, unlabelled) if patches else pd.DataFrame()
    return dict(
        zip(PRINTED, (of_teacher, results, sizes_as_printed(sizes, scales), counts), strict=True)
    )


def tell_tables(judged: Judged, printed: Mapping[str, pd.DataFrame], reporter: Reporter) -> None:
    """Print them; of the results conditions are rows, which fit into narrow terminals."""
    names = {metric: METRICS[metric] for metric in METRICS if metric in judged.draws.metrics}
    rows = [
        [f"{scale_name(rung)}: {condition_name(rung)}", *(_brief(judged, m, n) for n in names)]
        for m, rung in enumerate(judged.rungs)
    ]
    reporter.table("results, % (95 % interval)", ["scale: condition", *names.values()], rows)
    for title in PRINTED[2:]:
        table = printed[title]
        if len(table):
            reporter.table(title, list(table.columns), table.to_numpy().tolist())

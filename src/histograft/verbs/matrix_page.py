"""The report page of a transfer matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.reporter import counted
from histograft.figures.numerals import (
    NOTHING,
    format_p,
    percent,
    percent_range,
    points,
    points_range,
)
from histograft.verbs.comparison_told import records
from histograft.verbs.draw import broken
from histograft.verbs.matrix_tables import HEADLINES, MatrixTables, fused_ways, panels
from histograft.verbs.matrix_told import AGAINST, STARTS, answer, diverged
from histograft.verbs.report_sections import Sketch
from histograft.verbs.report_tables import patch_table
from histograft.verbs.transfer_cells import BEST_SINGLE, CONTROLS, HEADLINE, NO_TUNING

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.page import Section, Table
    from histograft.verbs.matrix import Matrix
    from histograft.verbs.transfer_cells import Cell

METRICS = {
    "accuracy": "accuracy",
    "macro_ap": "mean average precision of the classes",
    "hamming": "share of right labels (Hamming)",
}
HOW = (
    "Rows: the data set whose network was tuned. Columns: the data set it was tuned and tested on. "
    "Each value is a mean over trials (seeds) on the test rows of the target, at the learning rate "
    "that did best on its validation rows; every cell had the same rates to choose from.",
    "A cell is colored only where its difference to the control is significant: a t test whose "
    "error has the groups of the target (patients where they are known) and the trials in it, "
    "with Benjamini and Hochberg's correction over all cells. A gain over the control is due to "
    "the other data set; a gain over the framed diagonal alone may come from training longer.",
)


FUSED = (
    "Networks of single sources were fused without training, their BatchNorm statistics measured "
    "anew on the training patches of the target, and the result tuned like every other network, "
    "with the same learning rates to choose from. A fused network is judged against that of its "
    "sources which did best on the validation rows; `first-only` passes the first source through "
    "the same steps, `random-subspace` projects it on random directions.",
)


SHORT = {"accuracy": "accuracy", "macro_ap": "macro-AP"}
CELL_HELP = {
    "training": "what the source began with; which layers were tuned on the target; which control "
    "it is, if it is one (see above)",
    "SD": "standard deviation over trials, in points",
    "rate": "the learning rate that did best on validation rows, by its mean over trials",
}


def matrix_page(
    config: Matrix,
    tables: MatrixTables,
    cells: Sequence[Cell],
    patches: Sequence[Artefact],
    draft: Draft,
) -> str:
    """Write the page as HTML, and its figures into the draft."""
    from histograft.figures.page import Page, Section, render_page

    sketch = Sketch(draft, (), 0)
    fused = any(cell.fused for cell in cells)
    first = _fused(cells, tables, sketch) if fused else _matrices(tables, sketch)
    made = [first, _comparisons(tables)]
    tuned = _tunings(cells)
    if tuned is not None:
        made.append(Section("All layers or the classifier alone", tables=(tuned,)))
    made.append(_rates(tables))
    if patches:
        made.append(Section("Data", tables=(patch_table([a.facts for a in patches]),)))
    if config.commands:
        made.append(Section("Commands", code=("\n".join(broken(c) for c in config.commands),)))
    sentence, answers = answer(tables)
    return render_page(
        Page(
            config.title,
            sentence,
            answers,
            (*config.notices, *_notices(cells), *_notices_of_sets([a.facts for a in patches])),
            tuple(made),
            _facts(cells),
            {f"transfers of {len(cells)} cells": _common_id(cells)},
        )
    )


def _matrices(tables: MatrixTables, sketch: Sketch) -> Section:
    from histograft.figures.page import Section
    from histograft.figures.transfer_matrix import transfer_heat_map

    figures = []
    for start, tune, cells in panels(tables.matrix):
        title = f"{STARTS.get(start, start)}, {tune}-tuning"
        figure = transfer_heat_map(cells, title, AGAINST[HEADLINE.get(start, "self")])
        name = METRICS[str(cells["metric"].iloc[0])]
        caption = (f"Transfer from {title}: {name}, in percent.", f"Heat map of {name}.")
        figures.append(sketch.picture(figure, f"matrix-{start}-{tune}", caption))
    return Section("Transfers", text=HOW, figures=tuple(figures))


def _fused(cells: Sequence[Cell], tables: MatrixTables, sketch: Sketch) -> Section:
    """Show every way to the target, as Fig. 4 of the paper does."""
    from histograft.figures.fused_bars import fused_bars
    from histograft.figures.page import Section

    figures = []
    for target in dict.fromkeys(cell.key.target for cell in cells):
        ways, metric = fused_ways([c for c in cells if c.key.target == target], tables)
        caption = (
            f"Every way to {target}: {METRICS[metric]}, 95 % intervals; small marks are trials.",
            f"Points with intervals, one for each way to {target}.",
        )
        figure = fused_bars(ways, f"Ways to {target}", METRICS[metric])
        figures.append(sketch.picture(figure, f"ways-to-{target}", caption))
    return Section("Weight distillation", text=FUSED, figures=tuple(figures))


def _comparisons(tables: MatrixTables) -> Section:
    import pandas as pd

    from histograft.figures.page import Section, Table

    rows = tables.comparisons
    frame = pd.DataFrame(
        {
            "target": f"target {row['target']} · {STARTS.get(row['init'], row['init'])}, "
            f"{row['tune']}-tuning",
            "source": row["source"],
            "control": row["compared_with"],
            "points": points(row["difference"]),
            "95 % interval": points_range(row["difference_low"], row["difference_high"]),
            "adj. p": format_p(row["p_adjusted"]),
        }
        for row in records(_in_panels(rows[rows["metric"].isin(HEADLINES)]))
    )
    used = set(rows["compared_with"])
    judges = set(rows[rows["headline"].astype(bool)]["compared_with"])
    text = tuple(
        f"`{name}`: {what}{_judging(name, judges)}."
        for name, what in CONTROLS.items()
        if name in used
    )
    if frame.empty:
        return Section("Against the controls", text=text)
    table = Table(
        frame,
        "Each transfer against each of its controls.",
        group="target",
        help={
            "points": "transfer minus control, in percentage points of the metric",
            "adj. p": "adjusted by Benjamini and Hochberg: those that judge the cells together, "
            "each other control by itself",
        },
    )
    return Section("Against the controls", text=text, tables=(table,))


def _judging(name: str, judges: set[str]) -> str:
    """Say which cells a control judges, and so colors."""
    if name not in judges:
        return ""
    cells = "fused networks" if name == BEST_SINGLE else "cells"
    if name != BEST_SINGLE and BEST_SINGLE in judges:
        cells = "single sources"
    return f" ({cells} are judged against it)"


def _in_panels(rows: pd.DataFrame) -> pd.DataFrame:
    """Order rows by target, start (random before ImageNet), tuning, source and control."""
    order = ["target", "init", "tune", "source", "compared_with"]
    return rows.sort_values(order, ascending=[True, False, True, True, True])


def _tunings(cells: Sequence[Cell]) -> Table | None:
    """Tabulate deep against fine, as Table 4 of the paper does for one source."""
    import pandas as pd

    from histograft.figures.page import Table
    from histograft.stats.crossed import crossed_difference

    found = {(c.key.start, c.key.source, c.key.target, c.key.tune): c for c in cells if _told(c)}
    rows = []
    for (start, source, target, tune), deep in found.items():
        fine = found.get((start, source, target, "fine"))
        if tune != "deep" or fine is None:
            continue
        a, b = (next(iter(cell.metrics.values())) for cell in (deep, fine))
        gain = crossed_difference(a, b)
        rows.append(
            {
                "start": STARTS.get(start, start),
                "source": source,
                "target": target,
                "deep, %": percent(float(a.values.mean())),
                "fine, %": percent(float(b.values.mean())),
                "deep − fine": points(gain.value),
                "95 % interval": points_range(max(-1.0, gain.low), min(1.0, gain.high)),
            }
        )
    if not rows:
        return None
    rows.sort(key=lambda row: (row["start"] != STARTS["random"], row["source"], row["target"]))
    what = (
        "Tuning all layers (deep) against the classifier alone (fine), as in Table 4 of the paper."
    )
    return Table(pd.DataFrame(rows), what, group="start")


def _told(cell: Cell) -> bool:
    return cell.is_transfer and bool(cell.metrics)


def _rates(tables: MatrixTables) -> Section:
    import pandas as pd

    from histograft.figures.page import Section, Table

    matrix = tables.matrix[tables.matrix["metric"].isin(HEADLINES)]
    chosen = tables.rates[tables.rates["chosen"].astype(bool)]
    keys = ["source", "target", "init", "tune", "control"]
    rate = chosen.groupby(keys)["learning_rate"].first()
    hamming = tables.matrix[tables.matrix["metric"] == "hamming"]
    beside = hamming.set_index(keys)["value"]
    used = [name for name in HEADLINES if (matrix["metric"] == name).any()]
    metrics = " or ".join(METRICS[name] for name in used)
    value = f"{SHORT[used[0]] if len(used) == 1 else 'value'}, %"
    frame = pd.DataFrame(
        {
            "target": f"target {row['target']}",
            "source": row["source"],
            "training": _training(row),
            value: percent(row["value"]),
            "95 % interval": percent_range(row["ci_low"], row["ci_high"]),
            "SD": NOTHING if pd.isna(row["value_sd"]) else f"{100 * row['value_sd']:.1f}",
            "rate": _shown(rate.get(tuple(row[k] for k in keys))),
        }
        | _beside(beside.get(tuple(row[k] for k in keys)))
        for row in records(matrix.sort_values("target", kind="stable"))
    )
    lost = diverged(tables.rates)
    what = f"All cells, controls among them: {metrics}, and the chosen learning rate."
    table = Table(frame, what, group="target", help=CELL_HELP)
    text = (f"{lost}. They are in `learning_rates.csv`.",) if lost else ()
    return Section("All cells", text=text, tables=(table,))


def _beside(hamming: float | None) -> dict[str, str]:
    """Give the column that only sets of several labels have."""
    return {} if hamming is None else {"Hamming, %": percent(hamming)}


def _training(row: dict[str, Any]) -> str:
    if row["tune"] == NO_TUNING:
        return f"{row['init']}: trained on the target alone"
    control = f", control {row['control']}" if row["control"] else ""
    return f"{row['init']}: {row['tune']}-tuned{control}"


def _shown(rate: Any) -> str:
    return NOTHING if rate is None or math.isnan(rate) else f"{rate:g}"


def _notices(cells: Sequence[Cell]) -> tuple[str, ...]:
    lines = []
    unknown = sorted({c.key.target for c in cells if c.trials[0].facts["groups_known"] < 1})
    if unknown:
        lines.append(
            f"Not all patients are known in {', '.join(unknown)}: their patches are taken for "
            "independent, so intervals are too short and p values too small there."
        )
    single = sorted({c.key.target for c in cells if c.trials[0].facts["n_groups"] == 1})
    if single:
        lines.append(
            f"All test patches of {', '.join(single)} are of one group (one patient, say): patches "
            "are taken for independent there, and nothing is said about other patients."
        )
    unlike: dict[str, set[str]] = {}
    for cell in cells:
        if cell.is_transfer and _differs(cell.trials[0].facts):
            of = (cell.fused or {}).get("of", [cell.key.source])
            unlike.setdefault(cell.key.target, set()).update(of)
    if unlike:
        pairs = "; ".join(
            f"{target} from {', '.join(sorted(sources))}" for target, sources in unlike.items()
        )
        lines.append(f"Target and source are not known to be at one scale: {pairs}.")
    few = min((len(c.trials) for c in cells), default=0)
    if few < 3:
        lines.append(
            f"There are cells with {counted(few, 'trial')} only; three or more (`--trials 3`) tell "
            "how seeds scatter."
        )
    return tuple(lines)


def _notices_of_sets(facts: Sequence[dict[str, Any]]) -> list[str]:
    """Name the sets whose pixels are not what they seem to be."""
    what = {
        "n_mpp_unknown": "No µm/px is known of patches of {}: their pixels were kept as they are.",
        "n_upsampled": "Patches of {} were enlarged: their images are coarser than the target.",
        "n_reflected": "Patches of {} are of images smaller than a patch, filled up by mirroring.",
    }
    lines = []
    for name, text in what.items():
        shares = [
            f"{f['dataset']} ({f[name]:,} of {f['n_patches']:,})" for f in facts if f.get(name)
        ]
        if shares:
            lines.append(text.format(", ".join(shares)))
    return lines


def _differs(facts: dict[str, Any]) -> bool:
    source, target = facts.get("source_mpp"), facts.get("target_mpp")
    return source is None or target is None or abs(source / target - 1) > 0.01


def _facts(cells: Sequence[Cell]) -> dict[str, str]:
    transfers = [cell.trials[0].facts["transfer"] for cell in cells]
    names = sorted({t["architecture"] for t in transfers})
    grid = sorted({r["lr"] for t in transfers for r in t["rates"] if r["lr"] is not None})
    return {
        "networks": ", ".join(names),
        "cells": str(len(cells)),
        "trials": ", ".join(sorted({str(len(c.trials)) for c in cells})),
        "learning rates": ", ".join(f"{rate:g}" for rate in grid) or NOTHING,
        "error": "t over groups and trials; FDR 5 % over cells",
    }


def _common_id(cells: Sequence[Cell]) -> str:
    from histograft.core.identity import hash_json

    return hash_json(sorted(artefact.id for cell in cells for artefact in cell.trials))[:16]

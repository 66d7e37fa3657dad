"""What each level of a ladder costs: multiplications, bytes, time and memory, of test pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.verbs.patch_images import load_patches

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.page import Section

COSTS = "costs.csv"
TEXT = (
    "Of the test pieces, by one network: multiplications with addition (MAC) counted from shapes "
    "(a MAC is two FLOP), bytes of the pieces as losslessly stored PNG files, and milliseconds and "
    "most memory of one piece of median size, measured here. A group is a patient, or what is "
    "known of one; per group is the mean.",
)


def cost_table(
    costs: Mapping[float, Mapping[str, float]], patches: Sequence[Artefact]
) -> pd.DataFrame:
    """Return ``costs.csv``: a row for each level that has pieces.

    Parameters
    ----------
    costs : mapping
        For each level ``gmacs`` (mean over test pieces), ``ms_per_piece`` and ``peak_mb``.
    patches : sequence of Artefact
        Of the levels.

    Returns
    -------
    pandas.DataFrame
        Columns mpp (or factor), n_pieces, n_groups, and ``gmacs``, ``mb`` (10⁶ bytes read) and
        ``mpx`` (10⁶ pixels) per piece, per group and of the set; ms_per_piece, peak_mb.
    """
    import pandas as pd

    rows = []
    for artefact in patches:
        level = float(artefact.facts.get("level", "nan"))
        if level not in costs:  # no network looks at it
            continue
        table = load_patches(artefact)
        test = table[table["split"] == "test"]
        n_pieces, n_groups = len(test), test["group"].nunique()
        n_bytes = sum((artefact.path / name).stat().st_size for name in test["file_name"])
        whole = {
            "gmacs": costs[level]["gmacs"] * n_pieces,
            "mb": n_bytes / 1e6,
            "mpx": _pixels(artefact, test) / 1e6,
        }
        row: dict[str, Any] = {"mpp": level, "n_pieces": n_pieces, "n_groups": n_groups}
        for name, value in whole.items():
            row |= {f"{name}_per_piece": value / max(1, n_pieces)}
            row |= {f"{name}_per_group": value / max(1, n_groups), f"{name}_of_set": value}
        rows.append(row | {key: costs[level][key] for key in ("ms_per_piece", "peak_mb")})
    return pd.DataFrame(rows)


def _pixels(artefact: Artefact, rows: pd.DataFrame) -> int:
    from histograft.verbs.piece_pairs import Pieces

    pieces = Pieces(artefact, rows)
    return sum(height * width for height, width in map(pieces.shape, range(len(rows))))


def cost_section(costs: pd.DataFrame, scales: Mapping[float, str]) -> Section | None:
    """Show the costs on the page; None where there is nothing to show."""
    import pandas as pd

    from histograft.figures.page import Section, Table
    from histograft.verbs.comparison_told import records

    if costs.empty:
        return None
    shown = {"gmacs": "GMAC", "mb": "MB read"}
    rows = []
    for found in records(costs):
        row = {"scale": scales[float(found["mpp"])]}
        for name, title in shown.items():
            row |= {
                f"{title}, {of.replace('_', ' ')}": f"{found[f'{name}_{of}']:.3g}"
                for of in ("per_piece", "per_group", "of_set")
            }
        for name, title in (("ms_per_piece", "ms a piece"), ("peak_mb", "most memory, MB")):
            row[title] = "–" if found[name] != found[name] else f"{found[name]:.3g}"
        rows.append(row)
    n_pieces, n_groups = int(costs["n_pieces"].iloc[0]), int(costs["n_groups"].iloc[0])
    caption = f"Cost of {n_pieces} test pieces of {n_groups} groups."
    return Section("Costs", text=TEXT, tables=(Table(pd.DataFrame(rows), caption),))

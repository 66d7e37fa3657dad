"""What a report says: the verdict, captions, and the tables as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from histograft.verbs.compare import SIGNIFICANT, format_p
from histograft.verbs.comparison import SHORTCUT_PREFIX

if TYPE_CHECKING:
    import pandas as pd

    from histograft.core.artefact import Artefact
    from histograft.figures.page import Table

Caption = tuple[str, str]  # caption, text for those who cannot see the picture
TUNED = "ftx-dense"


class ReportText:
    """Sentences and tables of a comparison.

    Parameters
    ----------
    results, comparisons : pandas.DataFrame
        Tables of `compare`.
    facts : dict
        Facts of the artefact of `compare`.
    """

    no_comparison: ClassVar[str] = "No models are compared here."
    training_text: ClassVar[tuple[str, ...]] = (
        "Weights come from the training rows only; no choice was made on rows that are reported.",
    )
    patch_text: ClassVar[tuple[str, ...]] = (
        "Patches as the networks see them, after standardizing, chosen at random.",
    )
    patch_caption: ClassVar[Caption] = (
        "Random patches of each class.",
        "Sample patches of each data set, a row for each class.",
    )
    feature_caption: ClassVar[Caption] = (
        "t-SNE maps of the features (PCA start, perplexity 30, one seed for all panels), with the "
        "accuracy of the 10 nearest neighbors in the full feature space above each.",
        "Scatter plots of two-dimensional maps of the features, colored by class.",
    )

    def __init__(
        self, results: pd.DataFrame, comparisons: pd.DataFrame, facts: dict[str, Any]
    ) -> None:
        self.results = results
        self.comparisons = comparisons
        self.facts = facts
        self.baseline = str(facts["baseline"])

    @property
    def verdict(self) -> str:
        """The answer, one clause for each data set and protocol, and what shortcuts reach."""
        rows = self._tuned_rows()
        if not rows:
            return self.no_comparison
        tuned = self.facts["labels"].get(TUNED, TUNED)
        other = self.facts["labels"].get(self.baseline, self.baseline)
        clauses = [f"{_where(row)}: {self._clause(row)}" for row in rows]
        lines = [*clauses, *self._beaten(rows), *self._optimistic(rows)]
        return " ".join([f"{tuned} against {other}, accuracy.", *lines])

    def _tuned_rows(self) -> list[dict[str, Any]]:
        rows = self.results[
            (self.results["model"] == TUNED)
            & (self.results["metric"] == "accuracy")
            & self.results["difference"].notna()
        ]
        return [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]

    def _beaten(self, rows: list[dict[str, Any]]) -> list[str]:
        """Where a baseline without any network is as good as the tuned one."""
        lines = []
        for row in rows:
            best = self._best_shortcut(row["dataset"], row["protocol"])
            if best is not None and best["value"] >= row["value"]:
                lines.append(
                    f"On {_where(row)} {best['label']} alone reaches {100 * best['value']:.1f} %, "
                    "without any network: accuracy there says little of histology."
                )
        return lines

    def _optimistic(self, rows: list[dict[str, Any]]) -> list[str]:
        """Where cross-validation within a set is far above a test on held-out rows."""
        found = {(row["dataset"], row["protocol"]): row for row in rows}
        lines = []
        for (dataset, protocol), row in found.items():
            external = found.get((dataset, "external"))
            if protocol == "cv" and external and row["ci_low"] > external["ci_high"]:
                lines.append(
                    f"On {dataset} cross-validation is far above the test on held-out rows "
                    f"({100 * row['value']:.1f} against {100 * external['value']:.1f} %): its "
                    "folds probably share patients, so trust the external test."
                )
        return lines

    def _best_shortcut(self, dataset: str, protocol: str) -> dict[str, Any] | None:
        rows = self.results[
            (self.results["metric"] == "accuracy")
            & self.results["model"].str.startswith(SHORTCUT_PREFIX)
            & (self.results["dataset"] == dataset)
            & (self.results["protocol"] == protocol)
        ]
        if rows.empty:
            return None
        best = rows.sort_values("value").iloc[-1]
        return {"label": best["label"], "value": best["value"]}

    @staticmethod
    def _clause(row: dict[str, Any]) -> str:
        points = (
            f"{100 * row['difference']:+.1f} percentage points (95 % interval "
            f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}, "
            f"{_p(row['p_adjusted'])})"
        )
        clear = row["difference_low"] * row["difference_high"] > 0
        if not (clear and row["p_adjusted"] < SIGNIFICANT):
            return f"no difference shown, {points}."
        return f"{'higher' if row['difference'] > 0 else 'lower'}, {points}."

    @property
    def largest_class(self) -> dict[str, float]:
        """Share of the largest class by data set: what always guessing it would reach."""
        shares: dict[str, float] = {}
        for block in self.facts["blocks"]:
            shares.setdefault(block["dataset"], float(block["largest_class"]))
        return shares

    @property
    def protocol(self) -> dict[str, str]:
        """How the numbers came about, by topic."""
        described = {}
        for block in self.facts["blocks"]:
            name = f"{block['dataset']} ({block['protocol']})"
            described[name] = _protocol(block)
        described["Intervals"] = (
            "95 %, percentile bootstrap over the resampling unit named in each row; they say how "
            "the number varies with the cases, given the fitted models"
        )
        described["Tests"] = (
            "cross-validation: corrected resampled t test on the accuracies of the folds "
            "(Nadeau and Bengio 2003, doi:10.1023/A:1024068626366); single split: McNemar, or "
            "sign flips over groups where a group has several patches. The plain paired t test, "
            "where it is printed, takes repeats over the same patches for independent samples: "
            "its p values are far too small. "
            f"Holm's correction over the {self.facts['n_tests']} tests of this report"
        )
        return described

    forest_caption: ClassVar[Caption] = (
        "Difference in accuracy to the baseline, with its paired 95 % interval and the p value "
        "after Holm's correction. Filled: the interval leaves out 0.",
        "Forest plot of the differences in accuracy between each model and the baseline.",
    )
    pair_caption: ClassVar[Caption] = (
        "Overall accuracy before and after tuning (Fig. 2 of Li 2022). The box shows the repeats "
        "of the cross-validation: how much the number depends on how the folds fell. The line "
        "beside it is the 95 % interval: how much it depends on the cases.",
        "Box plots of accuracy over repeats with intervals, two models for each data set.",
    )
    accuracy_caption: ClassVar[Caption] = (
        "Overall accuracy of all models. The shortcut baselines use no network; what they reach "
        "is told by color or file format alone.",
        "Box plots of accuracy over repeats with intervals, for each data set and model.",
    )
    class_text: ClassVar[tuple[str, ...]] = (
        "Recall is the share of a class that is recognized. It is what Li 2022 calls the accuracy "
        "of a tissue type.",
    )
    class_caption: ClassVar[Caption] = (
        "Recall by class (Fig. 3 of Li 2022), boxes over repeats.",
        "Box plots of recall for each class.",
    )
    confusion_caption: ClassVar[Caption] = (
        "Rows: the true class; cells: share of the class and mean count over repeats.",
        "Confusion matrices.",
    )

    @property
    def accuracy_text(self) -> tuple[str, ...]:
        """Paragraphs before the figures: shortcuts and classes that were left out."""
        lines = []
        for block in self.facts["blocks"]:
            if block["warning"]:
                lines.append(f"{block['dataset']} ({block['protocol']}): {block['warning']}.")
            for name, reason in block.get("left_out", {}).items():
                lines.append(
                    f"{block['dataset']}: class {name} is left out of the cross-validation "
                    f"({reason})."
                )
            if block["ci_unit"] != "group" and not block["no_groups"]:
                lines.append(
                    f"{_where(block)}: patients are not known, so patches of one patient can be in "
                    "several folds; accuracies, intervals and p values are optimistic."
                )
            if block["no_groups"]:
                lines.append(
                    f"{block['dataset']}: groups were switched off (--no-groups); patches of one "
                    "group are on both sides of folds."
                )
        return (*lines, *self._shortcut_sentences())

    def _shortcut_sentences(self) -> list[str]:
        parts = []
        for block in self.facts["blocks"]:
            best = self._best_shortcut(block["dataset"], block["protocol"])
            if best is not None:
                parts.append(f"{_where(block)} {100 * best['value']:.1f} % ({best['label']})")
        if not parts:
            return []
        return [f"Best shortcut baseline, without any network: {'; '.join(parts)}."]

    @property
    def accuracy_tables(self) -> tuple[Table, ...]:
        """Accuracy of every model, and every paired comparison, in percent."""
        import pandas as pd

        from histograft.figures.page import Table

        accuracy = [
            {
                "data set": row["dataset"],
                "protocol": row["protocol"],
                "model": row["label"],
                "accuracy, %": round(100 * row["value"], 1),
                "95 % interval": _interval(row["ci_low"], row["ci_high"], ""),
                "resampled": f"{row['n_groups']:,} {row['ci_unit']}s".replace("patchs", "patches"),
                "patches": row["n_units"],
                "SD over repeats": round(100 * row["repeat_sd"], 2),
            }
            for row in self.results[self.results["metric"] == "accuracy"].to_dict("records")
        ]
        pairs = [
            {
                "data set": row["dataset"],
                "protocol": row["protocol"],
                "model": row["label"],
                "compared with": row["compared_with"],
                "points": f"{100 * row['difference']:+.1f}",
                "95 % interval": _interval(row["difference_low"], row["difference_high"], "+"),
                "p": format_p(row["p_value"]),
                "p (Holm)": format_p(row["p_adjusted"]),
                "test": row["test"],
            }
            for row in self.comparisons.to_dict("records")
        ]
        return (
            Table(
                pd.DataFrame(accuracy),
                "Accuracy. The SD over repeats is split noise, not an interval.",
            ),
            Table(
                pd.DataFrame(pairs),
                "Paired comparisons of accuracy, in percentage points.",
                help={"p (Holm)": "adjusted over all tests of this table but the misleading one"},
            ),
        )

    def class_tables(self, models: list[str]) -> tuple[Table, ...]:
        """Other metrics and the metrics by class of some models."""
        from histograft.figures.page import Table

        rows = self.results[self.results["model"].isin(models)]
        columns = {
            "dataset": "data set", "protocol": "protocol", "label": "model", "metric": "metric",
            "value": "value", "ci_low": "95 % low", "ci_high": "high",
            "repeat_sd": "SD over repeats",
        }  # fmt: skip
        by_class = rows["metric"].str.contains(":")
        return (
            Table(rows.loc[~by_class, list(columns)], "All metrics over classes.", headers=columns),
            Table(
                rows.loc[by_class & rows["metric"].str.startswith("recall"), list(columns)],
                "Recall by class; precision and F1 are in results.csv.",
                headers=columns,
            ),
        )

    @staticmethod
    def feature_text(most: int) -> tuple[str, ...]:
        """Paragraphs of the section on features."""
        return (
            "Maps distort distances and sizes; the numbers beside them are taken in the full, "
            "standardized feature space, leaving out the group of each patch. A set on which a "
            f"network was tuned is shown on its test rows, a set of more than {most:,} patches on "
            "a random sample of them.",
        )

    @staticmethod
    def feature_tables(scores: pd.DataFrame, labels: dict[str, str]) -> tuple[Table, ...]:
        """Neighbor accuracy and silhouette of each model."""
        from histograft.figures.page import Table

        table = scores.assign(model=scores["model"].map(lambda m: labels.get(m, m)))
        headers = {
            "dataset": "data set",
            "knn_accuracy": "10-NN accuracy",
            "silhouette": "silhouette",
        }
        return (Table(table, "Neighborhoods in the full feature space.", headers=headers),)

    @staticmethod
    def training_caption(artefact: Artefact) -> Caption:
        """Caption of the training curves of one network."""
        facts = artefact.facts
        return (
            f"{artefact.path.resolve().name}: {facts['architecture']} on {facts['n_train']} "
            f"patches of {facts['tuned_on']}.",
            "Loss and accuracy over the epochs of training.",
        )

    @staticmethod
    def patch_table(facts: list[dict[str, Any]]) -> Table:
        """Tabulate what each data set holds and at which scale."""
        import pandas as pd

        from histograft.figures.page import Table

        rows = [
            {
                "data set": f["dataset"],
                "images": f["n_images"],
                "patches": f["n_patches"],
                "classes": len(f["classes"]),
                "groups": f["n_groups"] if f["groups_known"] else None,
                "train": sum(f["counts"].get("train", {}).values()),
                "val": sum(f["counts"].get("val", {}).values()),
                "test": sum(f["counts"].get("test", {}).values()),
                "split": ", ".join(f["split_source"]),
                "µm/px of source": ", ".join(f"{m:g}" for m in f["mpp_native"]) or "unknown",
                "enlarged": f["n_upsampled"],
                "reflected": f["n_reflected"],
                "rejected": sum(f["rejects"].values()),
            }
            for f in facts
        ]
        return Table(pd.DataFrame(rows), "Data sets after standardizing.")

    @staticmethod
    def leakage_table(facts: list[dict[str, Any]]) -> Table:
        """Tabulate what the splits of each data set share."""
        import pandas as pd

        from histograft.figures.page import Table

        rows = [
            {
                "data set": f["dataset"],
                "groups known": f"{f['leakage']['groups_known']:.0%}",
                "groups in two splits": len(f["leakage"]["groups_in_two_splits"]),
                "exact duplicates": f["leakage"]["exact_duplicates_across_splits"],
                "near duplicates": f["leakage"]["near_duplicates_across_splits"],
                "overlapping test patches": f["leakage"]["overlapping_test_share"],
            }
            for f in facts
        ]
        return Table(
            pd.DataFrame(rows),
            "Leakage report: what training, validation and test rows share.",
            help={
                "near duplicates": "pairs across splits, by perceptual hash of all flips and turns"
            },
        )

    @staticmethod
    def notices(facts: list[dict[str, Any]]) -> tuple[str, ...]:
        """Say what a reader must know about the scale of the images."""
        unknown = [f["dataset"] for f in facts if f["n_mpp_unknown"]]
        enlarged = [f["dataset"] for f in facts if f["n_upsampled"]]
        lines = []
        if unknown:
            lines.append(
                f"No µm/px is known for {', '.join(unknown)}: their pixels were kept as they are, "
                "so these sets are not at the common scale."
            )
        if enlarged:
            lines.append(
                f"Images of {', '.join(enlarged)} are coarser than the target scale and were "
                "enlarged."
            )
        return tuple(lines)


def _interval(low: float, high: float, sign: str) -> str:
    return f"{100 * low:{sign}.1f} to {100 * high:{sign}.1f}"


def _where(row: dict[str, Any]) -> str:
    protocol = {"cv": "cross-validation", "external": "external test"}[row["protocol"]]
    return f"{row['dataset']} ({protocol})"


def _protocol(block: dict[str, Any]) -> str:
    unit = {"patch": "patches (no group is known)", "image": "source images"}.get(
        block["ci_unit"], "groups"
    )
    size = f"{block['n_units']} patches, {len(block['classes'])} classes; resampled: {unit}"
    rows = "its test rows" if block["rows"] == "test" else "all rows"
    if block["protocol"] == "external":
        fit = f"{block['n_fit']} patches of {block['fit_on']}"
        return f"fitted on {fit}, tested once on {rows}: {size}"
    grouped = "grouped" if block["grouped"] else "not grouped"
    return (
        f"{block['repeats']} x {block['folds']}-fold stratified cross-validation, {grouped}, on "
        f"{rows}, {block['probe']}: {size}"
    )


def _p(p_value: float) -> str:
    return "adjusted p < 0.001" if p_value < 0.001 else f"adjusted p = {p_value:.3f}"

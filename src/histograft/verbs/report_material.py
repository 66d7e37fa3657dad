"""What a report draws from: artefacts by what they are, and the tables of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.verbs.comparison import (
    COMPARISONS_TABLE,
    CONFUSION_TABLE,
    REPEATS_TABLE,
    RESULTS_TABLE,
    SHORTCUT_PREFIX,
)
from histograft.verbs.mutation_comparison import CALIBRATION_TABLE
from histograft.verbs.slide_list import INDEX

if TYPE_CHECKING:
    import pandas as pd

# The task of predictions of tissue types, where an artefact states one.
TISSUE = "class"


@dataclass(frozen=True)
class Compared:
    """The artefact of `compare`, read on demand.

    Attributes
    ----------
    artefact : Artefact
        Of kind ``report``, with the four tables.
    """

    artefact: Artefact

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the artefact: baseline, labels, blocks, number of tests."""
        return self.artefact.facts

    @property
    def labels(self) -> dict[str, str]:
        """What to call each model."""
        return dict(self.facts["labels"])

    @property
    def baseline(self) -> str:
        """Label of the model that the others are compared with."""
        name = str(self.facts["baseline"])
        return self.labels.get(name, name)

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """Facts of the predictions of tissue types, by data set and protocol."""
        return [b for b in self.facts["blocks"] if b.get("task", TISSUE) == TISSUE]

    @property
    def has_molecules(self) -> bool:
        """Whether mutations or expression were predicted."""
        return any(block.get("task", TISSUE) != TISSUE for block in self.facts["blocks"])

    @cached_property
    def all_results(self) -> pd.DataFrame:
        """All metrics of all models, on tissue types and on molecules."""
        return self._read(RESULTS_TABLE)

    @cached_property
    def all_comparisons(self) -> pd.DataFrame:
        """All paired comparisons, on tissue types and on molecules."""
        return self._read(COMPARISONS_TABLE)

    @cached_property
    def results(self) -> pd.DataFrame:
        """All metrics of all models on tissue types."""
        return self._of_tissue(self.all_results)

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """All paired comparisons on tissue types."""
        return self._of_tissue(self.all_comparisons)

    @cached_property
    def repeats(self) -> pd.DataFrame:
        """All metrics, repeat by repeat."""
        return self._read(REPEATS_TABLE)

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Confusion matrices, as mean counts over repeats."""
        return self._read(CONFUSION_TABLE)

    @cached_property
    def calibration(self) -> pd.DataFrame | None:
        """Bins of similar probabilities of mutations; None where there are none."""
        if CALIBRATION_TABLE not in self.artefact.files:
            return None
        return self._read(CALIBRATION_TABLE)

    def _of_tissue(self, table: pd.DataFrame) -> pd.DataFrame:
        places = {(block["dataset"], block["protocol"], block["target"]) for block in self.blocks}
        rows = zip(table["dataset"], table["protocol"], table["target"], strict=True)
        # By loc: of a table without rows, an empty list would choose no columns.
        return table.loc[[row in places for row in rows]]

    def _read(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_csv(self.artefact.file(name))

    def best_shortcut(self, dataset: str, protocol: str) -> dict[str, Any] | None:
        """Return label and accuracy of the best baseline without a network, if there is one."""
        rows = self.results[
            (self.results["metric"] == "accuracy")
            & self.results["model"].str.startswith(SHORTCUT_PREFIX)
            & (self.results["dataset"] == dataset)
            & (self.results["protocol"] == protocol)
        ]
        if rows.empty:
            return None
        best = rows.sort_values("value").iloc[-1]
        label = str(best["label"]).removeprefix("shortcut: ")
        return {"label": label, "value": float(best["value"])}


@dataclass
class Material:
    """The artefacts that a report draws from, by what they are.

    Attributes
    ----------
    all : list of Artefact
        In the order given.
    compared : Compared or None
        Tables of `compare`.
    patches, networks : list of Artefact
        In the order given.
    features : dict of str to list of Artefact
        By data set.
    slides : list of Artefact
        Lists of embedded slides.
    """

    all: list[Artefact]
    compared: Compared | None = None
    patches: list[Artefact] = field(default_factory=list)
    networks: list[Artefact] = field(default_factory=list)
    features: dict[str, list[Artefact]] = field(default_factory=dict)
    slides: list[Artefact] = field(default_factory=list)

    @classmethod
    def of(cls, artefacts: list[Artefact]) -> Material:
        """Sort artefacts by what they are."""
        material = cls(artefacts)
        for artefact in artefacts:
            if artefact.kind == "report":
                _refuse_a_page(artefact)
                material.compared = Compared(artefact)
            elif artefact.kind == "patches":
                material.patches.append(artefact)
            elif artefact.kind == "network":
                material.networks.append(artefact)
            elif artefact.kind == "features" and INDEX in artefact.files:
                material.slides.append(artefact)
            elif artefact.kind == "features" and "dataset" in artefact.facts:
                material.features.setdefault(artefact.facts["dataset"], []).append(artefact)
        return material


def _refuse_a_page(artefact: Artefact) -> None:
    """Refuse a report that is drawn already: it holds copies of tables, and facts of its own."""
    if "blocks" not in artefact.facts:
        made_by = artefact.manifest["verb"]
        raise InputError(
            f"{artefact.path} is a report of `histograft {made_by}`, which has its page already",
            "give the tables of `histograft compare`, or open its index.html",
        )

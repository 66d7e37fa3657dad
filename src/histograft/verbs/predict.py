"""Predict classes from features: repeated cross-validation, or fit on one set, test on another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.cross_validation import cross_validate
from histograft.verbs.external_protocol import evaluate_externally
from histograft.verbs.feature_sets import FeatureSet

VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Predict the class of each patch from its features, for several models on the same folds.

    Attributes
    ----------
    features : tuple of Path
        Features artefacts of one data set; all their models are compared on the same patches.
    out : Path
        Folder of the predictions artefact; new, empty, or of the same unfinished run.
    fit_on : tuple of Path
        Features artefacts to fit on, with the same models: fit once there, test once here.
        Without them: cross-validation within `features`.
    models : tuple of str
        Models to use; all by default.
    rows : str
        "auto": test rows where the networks were tuned on this set, else all; or "all", "test".
    probe : str
        svc (linear, squared hinge), logistic, or knn (10 nearest neighbors); features are
        standardized on the training folds.
    c : float
        Inverse regularization of svc and logistic.
    neighbors : int
        Neighbors of knn.
    folds : int
        Folds of the cross-validation.
    repeats : int
        Repeats of the cross-validation.
    groups : bool
        Keep groups together in folds where they are known; --no-groups is printed in the report.
    target : str
        What is predicted, for tables and figures.
    seed : int
        Seed of the folds.
    workers : int
        Threads; all cores by default. Results do not depend on it.
    """

    features: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    fit_on: Annotated[tuple[Path, ...], Role.INPUT] = ()
    models: tuple[str, ...] = ()
    rows: Literal["auto", "all", "test"] = "auto"
    probe: Literal["svc", "logistic", "knn"] = "svc"
    c: float | None = None
    neighbors: int = 10
    folds: int = 5
    repeats: int = 50
    groups: bool = True
    target: str = "tissue"
    seed: int = 0
    workers: Annotated[int | None, Role.EXECUTION] = None

    def __post_init__(self) -> None:
        require_at_least(self.folds, 2, "folds")
        require_at_least(self.repeats, 1, "repeats")
        require_at_least(self.neighbors, 1, "neighbors")
        require_at_least(self.seed, 0, "seed")
        require_at_least(self.workers or 0, 0, "workers")
        if self.c is not None and not self.c > 0:
            raise InputError(f"--c is {self.c}", "give more than 0")
        if not self.features:
            raise InputError("no features are given", "give one or more features artefacts")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"probe": "svc", "c": 1.0, "folds": 5, "repeats": 50},
    "recommended": {},
}


def predict(config: Predict, reporter: Reporter = SILENT) -> Artefact:
    """Make a predictions artefact.

    Parameters
    ----------
    config : Predict
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``predictions``.

    Raises
    ------
    InputError
        Features do not belong together, a network has seen what it would be tested on, or fewer
        than two classes have enough units.
    ArtefactError
        The folder is taken, or cannot be written, or features are damaged.
    """
    tested = [open_artefact(path, "features") for path in config.features]
    fitted = [open_artefact(path, "features") for path in config.fit_on]
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = [a.as_input("features") for a in tested] + [a.as_input("fit_on") for a in fitted]
    identity = Identity("predictions", "predict", VERSION, settings, tuple(inputs), config.seed)
    draft = claim(config.out, identity)
    if isinstance(draft, Artefact):
        reporter.note(f"the predictions are there already ({draft.path})")
        return draft
    with draft:
        test = FeatureSet.of(tested, config.models)
        if fitted:
            return evaluate_externally(
                config, test, FeatureSet.of(fitted, config.models), draft, reporter
            )
        return cross_validate(config, test, draft, reporter)

"""Predict from features: the class of patches, or mutations and expression of patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.cross_validation import cross_validate
from histograft.verbs.external_protocol import evaluate_externally
from histograft.verbs.feature_sets import FeatureSet
from histograft.verbs.molecular_prediction import predict_molecular
from histograft.verbs.molecular_targets import MolecularTables, Orientation, Transform
from histograft.verbs.patient_features import is_patient_features, read_patient_features
from histograft.verbs.unused_options import refuse_unused, tell_unused

VERSION = 3
OF_MUTATIONS = ("variant_classes", "lasso_rule")
OF_EXPRESSION = ("orientation", "transform", "constant_columns")
OF_PATIENTS = ("leave_site_out", "sample_types", "n_genes", *OF_MUTATIONS, *OF_EXPRESSION)
OF_PATCHES = ("rows", "probe", "c", "neighbors", "groups", "target")


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Predict from features, for several models on the same folds.

    Of patches: their class. Of patients, with --mutations or --expression: the mutation status
    of genes by lasso (as R's cv.glmnet), or their expression by support vector regression (as R's
    e1071).

    Attributes
    ----------
    features : tuple of Path
        Features artefacts of one data set; all their models are compared on the same patches. For
        patients: what `histograft pool` made, or CSV, TSV or Parquet tables with one row for each
        patient (a column patient_id, all others numbers).
    out : Path
        Folder of the predictions artefact; new, empty, or of the same unfinished run.
    fit_on : tuple of Path
        Features to fit on, with the same models: fit once there, test once here. Without them:
        cross-validation within `features`. Of patients the molecular tables hold both cohorts, or
        --fit-mutations or --fit-expression are those of this one.
    name : str
        What to call the set that is tested, in tables and reports, such as where two cohorts have
        folders of one name; by default as the features call it.
    fit_name : str
        What to call the set of --fit-on.
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
    leave_site_out : bool
        Of patients with TCGA barcodes: test each tissue source site by machines fitted on the
        others (small sites are joined), in place of repeated folds.
    target : str
        What is predicted of patches, for tables and figures.
    mutations : Path
        MAF (GDC or cBioPortal), or a folder of them; each gene's status is predicted.
    sequenced : Path
        Who was sequenced, one name a line or cBioPortal's cases_sequenced.txt: a patient on it
        without a mutation is wild type, anybody else unknown.
    expression : Path
        Matrix of expression (UCSC Xena, cBioPortal, or genes and samples in a table), or a folder
        of the GDC's STAR files with their sample sheet.
    fit_mutations : Path
        MAF, or folder of them, of the patients of --fit-on; by default --mutations holds both.
    fit_sequenced : Path
        Who of them was sequenced. With --fit-mutations, --sequenced speaks of the tested only.
    fit_expression : Path
        Expression of the patients of --fit-on, whose scale is found for itself; by default
        --expression holds both.
    variant_classes : tuple of str
        Variants that count as a mutation: non-silent, truncating, any, or classes as a MAF writes
        them, such as Missense_Mutation.
    sample_types : tuple of str
        TCGA sample types that are kept, of molecular tables and of tables of features, where names
        are barcodes: "01" is the primary tumor.
    sample_sheet : Path
        Table with the columns sample_id and patient_id, where names of samples in molecular tables
        do not say whose they are.
    orientation : str
        Which way round the matrix of expression lies: genes-in-rows, samples-in-rows, or seen from
        its names (auto).
    genes : str
        "all", "LUAD_NINE", "LI2022_EXPRESSION", or a file with one gene a line.
    n_genes : int
        Draw so many of these genes at random.
    transform : str
        Of expression: "auto" takes log2(x + 1) of linear values, "none" takes values as they are,
        "log2p1" says that a table is linear where that cannot be told; values that are seen to be
        in logarithms or centered are never logged.
    lasso_rule : str
        Penalty of the lasso: "min" (least loss) or "1se" (R's default, often no feature at all).
    constant_columns : str
        Features that are constant in training folds: left out ("drop"), or "r", where one switches
        off all scaling, as in R.
    seed : int
        Seed of the folds.
    workers : int
        Threads; all cores by default. Results do not depend on it.
    """

    features: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    fit_on: Annotated[tuple[Path, ...], Role.INPUT] = ()
    name: str | None = None
    fit_name: str | None = None
    models: tuple[str, ...] = ()
    rows: Literal["auto", "all", "test"] = "auto"
    probe: Literal["svc", "logistic", "knn"] = "svc"
    c: float | None = None
    neighbors: int = 10
    folds: int = 5
    repeats: int = 50
    groups: bool = True
    leave_site_out: bool = False
    target: str = "tissue"
    mutations: Annotated[Path | None, Role.INPUT] = None
    sequenced: Annotated[Path | None, Role.INPUT] = None
    expression: Annotated[Path | None, Role.INPUT] = None
    fit_mutations: Annotated[Path | None, Role.INPUT] = None
    fit_sequenced: Annotated[Path | None, Role.INPUT] = None
    fit_expression: Annotated[Path | None, Role.INPUT] = None
    variant_classes: tuple[str, ...] = ("non-silent",)
    sample_types: tuple[str, ...] = ("01",)
    sample_sheet: Annotated[Path | None, Role.INPUT] = None
    orientation: Orientation = "auto"
    genes: Annotated[str, Role.INPUT] = "all"
    n_genes: int | None = None
    transform: Transform = "auto"
    lasso_rule: Literal["min", "1se"] = "min"
    constant_columns: Literal["drop", "r"] = "drop"
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
        if self.fit_name is not None and not self.fit_on:
            raise InputError("--fit-name names what --fit-on gives", "give --fit-on too")
        if "" in (self.name, self.fit_name):
            raise InputError("a set has an empty name", "give letters, or leave the option out")
        if not self.features:
            raise InputError("no features are given", "give one or more features artefacts")
        self._check_molecular()

    def _check_molecular(self) -> None:
        if self.mutations is not None and self.expression is not None:
            raise InputError(
                "--mutations and --expression are two predictions", "give one of them at a time"
            )
        if self.sequenced is not None and self.mutations is None:
            raise InputError("--sequenced belongs to --mutations", "give a MAF too")
        if self.n_genes is not None:
            require_at_least(self.n_genes, 1, "n_genes")
        self._check_cohort_files()
        for option in ("variant_classes", "sample_types"):
            if not getattr(self, option):
                flag = "--" + option.replace("_", "-")
                raise InputError(f"{flag} names nothing", "name one or more, or leave it out")
        if self.leave_site_out and self.mutations is None and self.expression is None:
            raise InputError(
                "--leave-site-out is for patients", "give --mutations or --expression too"
            )
        if self.leave_site_out and self.fit_on:
            raise InputError(
                "--leave-site-out and --fit-on are two protocols", "give one of them at a time"
            )

    def _check_cohort_files(self) -> None:
        for option, target in (
            ("fit_mutations", "mutations"),
            ("fit_sequenced", "mutations"),
            ("fit_expression", "expression"),
        ):
            flag = "--" + option.replace("_", "-")
            if getattr(self, option) is not None and getattr(self, target) is None:
                raise InputError(f"{flag} belongs to --{target}", f"give --{target} too")
            if getattr(self, option) is not None and not self.fit_on:
                raise InputError(f"{flag} belongs to --fit-on", "give --fit-on too")


PRESETS: dict[str, dict[str, Any]] = {
    # R's defaults, as Li 2022 probably used: predict of cv.glmnet takes 1se.
    "paper": {
        "probe": "svc",
        "c": 1.0,
        "folds": 5,
        "repeats": 50,
        "lasso_rule": "1se",
        "constant_columns": "r",
    },
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
    for names, why in _of_other_kinds(config):
        refuse_unused(config, names, PRESETS, why)
        tell_unused(config, names, PRESETS, why, reporter)
    if config.mutations is not None or config.expression is not None:
        return _of_patients(config, reporter)
    return _of_patches(config, reporter)


def _of_patches(config: Predict, reporter: Reporter) -> Artefact:
    if tables := [path for path in config.features if is_patient_features(path)]:
        raise InputError(
            f"{tables[0]} holds features of patients", "say what to predict: --mutations MAF or "
            "--expression TABLE"
        )  # fmt: skip
    tested = [open_artefact(path, "features") for path in config.features]
    fitted = [open_artefact(path, "features") for path in config.fit_on]
    inputs = [a.as_input("features") for a in tested] + [a.as_input("fit_on") for a in fitted]
    settings = _settings(config, without=OF_PATIENTS)
    identity = Identity("predictions", "predict", VERSION, settings, tuple(inputs), config.seed)

    def work(draft: Draft) -> Artefact:
        test = FeatureSet.of(tested, config.models)
        if fitted:
            known = FeatureSet.of(fitted, config.models)
            return evaluate_externally(config, test, known, draft, reporter)
        return cross_validate(config, test, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _of_patients(config: Predict, reporter: Reporter) -> Artefact:
    kept = config.sample_types
    features, inputs = read_patient_features(config.features, config.models, sample_types=kept)
    features = replace(features, name=config.name or features.name)
    others = None
    if config.fit_on:
        others, more = read_patient_features(
            config.fit_on, tuple(features.models), "fit_on", sample_types=kept
        )
        inputs += more
        others = replace(others, name=config.fit_name or others.name)
    tables = tables_of(config)
    inputs += tables.inputs()
    unused = tuple(name for names, _ in _of_other_kinds(config) for name in names)
    settings = _settings(config, without=unused) | {"genes": tables.gene_setting()}
    identity = Identity("predictions", "predict", VERSION, settings, tuple(inputs), config.seed)

    def work(draft: Draft) -> Artefact:
        return predict_molecular(config, features, others, tables, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def tables_of(config: Predict) -> MolecularTables:
    """Return the molecular tables of a configuration; recipes read them before hours of work."""
    return MolecularTables(
        config.mutations, config.sequenced, config.expression, config.genes, config.n_genes,
        config.transform, config.seed, config.variant_classes, config.sample_types,
        config.orientation, config.sample_sheet, config.fit_mutations, config.fit_sequenced,
        config.fit_expression,
    )  # fmt: skip


def _of_other_kinds(config: Predict) -> list[tuple[tuple[str, ...], str]]:
    """Options that mean nothing for what is predicted, and what they are for."""
    if config.mutations is None and config.expression is None:
        return [((*OF_PATIENTS, "sample_sheet", "genes"), "for --mutations or --expression")]
    of_patches = (OF_PATCHES, "for patches")
    if config.mutations is None:
        return [of_patches, (OF_MUTATIONS, "for --mutations")]
    return [of_patches, (OF_EXPRESSION, "for --expression")]


def _settings(config: Predict, *, without: tuple[str, ...]) -> dict[str, Any]:
    """Keep the settings that mean something for what is predicted."""
    settings = fields_with_role(config, Role.SETTING)
    # Names that nobody gave are no part of the identity.
    unnamed = [name for name in ("name", "fit_name") if settings[name] is None]
    return {name: v for name, v in settings.items() if name not in ("seed", *unnamed, *without)}

"""What predictions of expression and of mutations share: patients, features, and who is tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.core.seeds import child_seed
from histograft.verbs.molecular_targets import Targets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.stats.folds import FoldPlan
    from histograft.verbs.predict import Predict

MUTATED, WILD_TYPE = "mutated", "wild type"
Protocol = Literal["cv", "sites", "external"]
# Of a class in a training set, for the ten inner folds of the lasso.
FEWEST_TO_FIT = 3


@dataclass(frozen=True)
class MolecularWork:
    """Patients, and what is predicted of them.

    Attributes
    ----------
    config : Predict
        Folds, repeats, seed and the options of the machines.
    dataset : str
        Name of the cohort that is tested.
    features : dict of str to array, float64 (N, D)
        By model.
    targets : Targets
        Rows are the N patients.
    only_fitted_on : array of bool, shape (N,)
        Patients of another cohort, who are not tested.
    fit_on : str
        Name of that cohort; empty without one.
    draft : Draft
        Of kind ``predictions``.
    """

    config: Predict
    dataset: str
    features: dict[str, NDArray[np.float64]]
    targets: Targets
    only_fitted_on: NDArray[np.bool_]
    fit_on: str
    draft: Draft

    @property
    def protocol(self) -> Protocol:
        """How patients are tested: in cross-validation, site by site, or as another cohort."""
        if self.config.fit_on:
            return "external"
        return "sites" if self.config.leave_site_out else "cv"

    @property
    def patients(self) -> list[str]:
        """Names of the N patients."""
        return [str(name) for name in self.targets.values.index]

    @property
    def tested_folds(self) -> tuple[int, ...] | None:
        """Folds that are predicted; None: all."""
        return (0,) if self.protocol == "external" else None

    def saved(self, *names: object, ending: str) -> Path:
        """Return where a part is kept until all is done; names of genes may not fit on disks."""
        return self.draft.work / ("-".join(map(str, names)) + ending)

    def plan_values(self) -> FoldPlan:
        """Plan who is tested when, without regard to values."""
        from histograft.stats.folds import plan_unstratified_folds

        if self.protocol == "external":
            return _plan_external(self.only_fitted_on)
        if self.protocol == "sites":
            return _plan_sites(self.patients, None)
        return plan_unstratified_folds(
            len(self.patients),
            n_folds=self.config.folds,
            n_repeats=self.config.repeats,
            seed=child_seed(self.config.seed, "folds", "expression"),
        )

    def plan_status(
        self, gene: str, status: NDArray[np.bool_], known: NDArray[np.bool_]
    ) -> FoldPlan:
        """Plan who is tested when, for the status of one gene.

        Parameters
        ----------
        gene : str
            Its name; each gene has folds of its own, alike for all models.
        status : array of bool, shape (K,)
            Of the patients in whom it is known.
        known : array of bool, shape (N,)
            Who these are.

        Returns
        -------
        FoldPlan
            Of the K patients.

        Raises
        ------
        InputError
            Too few patients are mutated or wild type; its problem says how many.
        """
        import numpy as np

        from histograft.stats.folds import plan_folds

        fitted_on = self.only_fitted_on[known]
        if self.protocol == "external":
            plan = _plan_external(fitted_on)
        elif self.protocol == "sites":
            names = [name for name, is_known in zip(self.patients, known, strict=True) if is_known]
            plan = _plan_sites(names, status)
        else:
            _require(status, self.config.folds, f"for {self.config.folds} folds")
            plan = plan_folds(
                np.where(status, MUTATED, WILD_TYPE),
                n_folds=self.config.folds,
                n_repeats=self.config.repeats,
                seed=child_seed(self.config.seed, "folds", gene),
            )
        if self.protocol == "external":
            _require(status[~fitted_on], 1, "among those tested")
        for folds in plan.folds:
            for fold in self.tested_folds or range(plan.n_folds):
                _require(status[folds != fold], FEWEST_TO_FIT, "in a training set")
        return plan


def site_of(patient: str, option: str = "--leave-site-out") -> str:
    """Return the site of a patient by the TCGA barcode; `option` asked for it.

    Raises
    ------
    InputError
        The name is no barcode.

    Examples
    --------
    >>> site_of("TCGA-05-4244")
    '05'
    """
    from histograft.molecular.barcodes import parse_barcode

    barcode = parse_barcode(patient)
    if barcode is None:
        raise InputError(
            f"the site of {patient} is not known: only TCGA barcodes say where patients are from",
            f"leave out {option}, or name patients by TCGA barcodes",
        )
    return barcode.site


def _plan_external(only_fitted_on: NDArray[np.bool_]) -> FoldPlan:
    """Plan one test: fold 0 is tested, fold 1 is fitted on."""
    from histograft.stats.folds import FoldPlan

    return FoldPlan(only_fitted_on[None].astype("int16"), 1, 1, grouped=True, left_out={})


def _plan_sites(patients: list[str], status: NDArray[np.bool_] | None) -> FoldPlan:
    from histograft.stats.site_folds import plan_site_folds

    return plan_site_folds([site_of(name) for name in patients], status).plan


def _require(status: NDArray[np.bool_], least: int, where: str) -> None:
    for n, word in ((int(status.sum()), MUTATED), (int((~status).sum()), WILD_TYPE)):
        if n < least:
            raise InputError(f"{n} {word} {where}", f"needed are {least}")


def describe_plan(work: MolecularWork, plan: FoldPlan) -> dict[str, Any]:
    """Say in facts who was fitted on and who tested: numbers, and ``how`` as words for people."""
    if work.protocol == "external":
        n_fit = int(work.only_fitted_on.sum())
        return {"n_fit": n_fit, "how": f"fitted once on {n_fit:,} patients of {work.fit_on}"}
    facts = {"folds": plan.n_folds, "repeats": plan.n_repeats}
    if work.protocol == "sites":
        n_sites = len({site_of(name) for name in work.patients})
        how = f"each of {n_sites} sites tested by machines fitted on others ({plan.n_folds} folds)"
        return facts | {"n_sites": n_sites, "how": how}
    how = f"{plan.n_folds}-fold cross-validation of patients, {plan.n_repeats} times"
    return facts | {"how": how}

"""Networks that are fused: whether they fit, and the specification of what comes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.verbs.networks import load_spec, network_name, tuned_on

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.network import NetworkSpec

# Two scales that differ by less are the same to a network.
SAME_SCALE = 0.01
# Classes of an output layer that nobody trained.
NO_CLASSES = ("untrained-1", "untrained-2")


@dataclasses.dataclass(frozen=True)
class Parents:
    """Networks in the order in which they were given.

    Attributes
    ----------
    artefacts : list of Artefact
        Of kind ``network``.
    specs : list of NetworkSpec
        Their specifications.
    names : list of str
        What to call them in tables, each name once.
    """

    artefacts: list[Artefact]
    specs: list[NetworkSpec]
    names: list[str]

    @property
    def same_classes(self) -> bool:
        """Whether all tell the same classes apart, in the same order."""
        return len({(spec.classes, spec.task) for spec in self.specs}) == 1

    @property
    def same_head(self) -> bool:
        """Whether the dense layers of all can be fused, up to the classes."""
        return self.same_classes and len({spec.hidden for spec in self.specs}) == 1

    @property
    def seen(self) -> set[tuple[str, str]]:
        """What any of them was tuned on, see `histograft.verbs.networks.tuned_on`."""
        return set().union(*map(tuned_on, self.artefacts))


def open_parents(paths: Sequence[Path]) -> Parents:
    """Open networks that are to be fused.

    Raises
    ------
    InputError
        They are fewer than two, or of different architectures; the message names both.
    """
    if len(paths) < 2:
        raise InputError(
            f"{len(paths)} network cannot be fused", "give the folders of two networks or more"
        )
    artefacts = [open_artefact(path, "network") for path in paths]
    specs = [load_spec(artefact) for artefact in artefacts]
    for path, spec in zip(paths, specs, strict=True):
        for name in ("architecture", "kwargs"):
            ours, theirs = getattr(specs[0], name), getattr(spec, name)
            if ours != theirs:
                what = "the architecture" if name == "architecture" else "architecture arguments"
                raise InputError(
                    f"{paths[0]} and {path} cannot be fused: {what} {ours} and {theirs} differ",
                    "fuse networks of one architecture, built with the same arguments",
                )
    return Parents(artefacts, specs, _names(paths))


def _names(paths: Sequence[Path]) -> list[str]:
    names = [network_name(path) for path in paths]
    return [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def fused_spec(
    parents: Parents,
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None,
    *,
    from_first: bool,
    reporter: Reporter,
) -> NetworkSpec:
    """Say what the fused network is, and warn where its parents do not agree.

    Parameters
    ----------
    parents : Parents
        The networks.
    statistics : tuple of two tuples of float, or None
        Mean and standard deviation of the input, each of three numbers in 0–1; None for those of
        the parents.
    from_first : bool
        Whether the mode takes the filters of the first network, so that its normalization of the
        input fits; otherwise normalizations are averaged.
    reporter : Reporter
        Whom to warn.

    Returns
    -------
    NetworkSpec
        Its µm/px is None where the parents' differ. Its classes are placeholders, with an output
        layer of new weights, where the parents' classes or dense layers differ.
    """
    first = parents.specs[0]
    changes: dict[str, Any] = {}
    if statistics is not None:
        changes |= dict(zip(("mean", "std"), statistics, strict=True))
    elif len({(spec.mean, spec.std) for spec in parents.specs}) > 1:
        what = "those of the first are taken" if from_first else "their means are taken"
        reporter.warn(
            "the networks normalize their input by different mean and std; "
            f"{what} ({_listed(parents, [spec.mean for spec in parents.specs])})"
        )
        if not from_first:
            changes |= {name: _mean_of(parents.specs, name) for name in ("mean", "std")}
    if len({spec.patch_px for spec in parents.specs}) > 1:
        sizes = _listed(parents, [spec.patch_px for spec in parents.specs])
        reporter.note(f"patch sizes differ ({sizes} px): {first.patch_px} px is written down")
    if not parents.same_head:
        why = "have other dense layers" if parents.same_classes else "tell different classes apart"
        reporter.note(f"the networks {why}: the output layer is new")
        changes |= {"classes": NO_CLASSES, "task": "multiclass"}
    if not _alike([spec.mpp for spec in parents.specs]):
        changes["mpp"] = None
    return dataclasses.replace(first, **changes)


def compare_scales(
    parents: Parents, target: tuple[str, float | None] | None, reporter: Reporter, *, strict: bool
) -> None:
    """Warn where networks, or the patches to recalibrate on, differ in µm/px, or refuse them.

    Parameters
    ----------
    parents : Parents
        The networks.
    target : tuple of (str, float or None), optional
        Name and µm/px of the patches.
    reporter : Reporter
        Whom to warn.
    strict : bool
        Refuse instead, also what is not known.

    Raises
    ------
    InputError
        `strict`, and a scale differs or is unknown.
    """
    names = [*parents.names, *([] if target is None else [target[0]])]
    scales = [spec.mpp for spec in parents.specs] + ([] if target is None else [target[1]])
    if _alike(scales) and not (strict and None in scales):
        return
    shown = ", ".join(
        f"{name}: {'unknown' if mpp is None else f'{mpp:g} µm/px'}"
        for name, mpp in zip(names, scales, strict=True)
    )
    problem = f"not all of these are known to be at one scale ({shown})"
    if strict:
        raise InputError(problem, "standardize all sets to one --target-mpp and train again")
    reporter.warn(f"{problem}: filters of two scales answer to different things")


def scale_of(table: pd.DataFrame) -> float | None:
    """Return the one µm/px of all patches, None where it is unknown or differs."""
    scales = table["mpp"].dropna().unique()
    return float(scales[0]) if len(scales) == 1 and table["mpp"].notna().all() else None


def _alike(scales: Sequence[float | None]) -> bool:
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        return not known
    return max(known) / min(known) - 1 <= SAME_SCALE


def _mean_of(specs: Sequence[NetworkSpec], name: str) -> tuple[float, ...]:
    columns = zip(*(getattr(spec, name) for spec in specs), strict=True)
    return tuple(round(sum(column) / len(specs), 6) for column in columns)


def _listed(parents: Parents, values: Sequence[Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in zip(parents.names, values, strict=True))

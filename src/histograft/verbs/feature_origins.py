"""How features of patients were made: network, scale, stain, and which slides went into them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histograft.core.errors import InputError

# What a feature file states of how its tiles became features; all in it begin with ``histo_``.
NETWORK = "network"
OF_SLIDES = (NETWORK, "mpp_target", "stain", "stain_reference", "stain_io")
OF_POOLING = ("weighting", "slide_kind", "sample_types")
WORDS = {
    "mpp_target": "µm/px",
    "stain": "stain normalization",
    "stain_reference": "reference of the stain normalization",
    "stain_io": "Io of the stain normalization",
    "weighting": "weighting of tiles",
    "slide_kind": "kind of slide",
    "sample_types": "sample types",
}
UNKNOWN, SEVERAL = "None", "several"


@dataclass(frozen=True)
class Origin:
    """What is known of how the features of one model were made.

    Attributes
    ----------
    stated : dict of str to object
        Of `OF_SLIDES` and `OF_POOLING` those that are known: id of the network, µm/px, name of the
        stain normalization and its reference, and how slides were chosen and averaged.
    """

    stated: Mapping[str, Any]

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> Origin:
        """Read what the dataset ``features`` of an HDF5 file states.

        Examples
        --------
        >>> Origin.read({"histo_mpp_target": 0.5, "histo_stain": "None", "name": "s1"}).stated
        {'mpp_target': 0.5}
        """
        found = {}
        for name in (*OF_SLIDES, *OF_POOLING):
            value = attributes.get(f"histo_{name}", UNKNOWN)
            if isinstance(value, str) and value == UNKNOWN:
                continue
            found[name] = value if isinstance(value, str) else float(value)
        return cls(found)

    def attributes(self) -> dict[str, Any]:
        """Return what to write into an HDF5 file."""
        return {f"histo_{name}": value for name, value in self.stated.items()}


def join_origins(origins: Iterable[Origin], model: str) -> tuple[Origin, list[str]]:
    """Say how the slides of all patients were embedded, of what they state of themselves.

    Returns
    -------
    Origin
        ``several`` where slides were not embedded alike.
    list of str
        What to warn of.

    Raises
    ------
    InputError
        Slides were embedded by several networks.
    """
    given = list(origins)
    joined, warnings = {}, []
    for name in OF_SLIDES:
        values = sorted({str(o.stated.get(name, "unknown")) for o in given})
        if len(values) > 1 and name == NETWORK:
            raise InputError(
                f"{model}: slides were embedded by {len(values)} networks "
                f"({', '.join(value[:12] for value in values)})",
                "embed all slides by one network",
            )
        if len(values) > 1:
            warnings.append(
                f"{model}: slides differ in {WORDS[name]} ({', '.join(values)}) and are pooled"
            )
            joined[name] = SEVERAL
        elif name in given[0].stated:
            joined[name] = given[0].stated[name]
    return Origin(joined), warnings


def tell_unlike(
    tested: Mapping[str, Origin], fitted: Mapping[str, Origin], models: Sequence[str]
) -> list[str]:
    """Compare how features of two cohorts were made.

    Parameters
    ----------
    tested, fitted : mapping of str to Origin
        By model.
    models : sequence of str
        Those that are used.

    Returns
    -------
    list of str
        What to warn of.

    Raises
    ------
    InputError
        Another network goes by the same name.

    Examples
    --------
    >>> here, there = Origin({"mpp_target": 0.5}), Origin({"mpp_target": 0.25})
    >>> tell_unlike({"net": here}, {"net": there}, ["net"])
    ['net: µm/px of --features is 0.5, of --fit-on 0.25']
    """
    warnings = []
    for model in models:
        here, there = tested[model].stated, fitted[model].stated
        if (NETWORK in here) != (NETWORK in there):
            side = "--fit-on" if NETWORK in here else "--features"
            warnings.append(
                f"{model}: {side} does not state its network, so it is not known whether both "
                "cohorts have the same features"
            )
        elif here.get(NETWORK) != there.get(NETWORK):
            raise InputError(
                f"{model}: --features and --fit-on are of two networks of this name "
                f"({here[NETWORK][:12]}, {there[NETWORK][:12]})",
                "embed both cohorts by the same network",
            )
        warnings += [
            f"{model}: {words} of --features is {_said(here[name])}, of --fit-on "
            f"{_said(there[name])}"
            for name, words in WORDS.items()
            if name in here and name in there and here[name] != there[name]
        ]
    return warnings


def tell_other_samples(
    origins: Mapping[str, Origin], models: Sequence[str], sample_types: Sequence[str]
) -> list[str]:
    """Warn where features are of other TCGA sample types than molecular values.

    Examples
    --------
    >>> origin = Origin({"sample_types": '["11"]'})
    >>> tell_other_samples({"net": origin}, ["net"], ["01"])
    ['net: features are of the sample types 11, molecular values of 01']
    """
    wanted, warnings = sorted(set(sample_types)), []
    for model in models:
        stated = origins[model].stated.get("sample_types")
        if stated is not None and sorted(set(json.loads(stated))) != wanted:
            warnings.append(
                f"{model}: features are of the sample types {_said(stated)}, molecular values of "
                f"{' '.join(wanted)}"
            )
    return warnings


def _said(value: Any) -> str:
    if isinstance(value, str) and value.startswith("["):
        return " ".join(json.loads(value))
    return f"{value:g}" if isinstance(value, float) else str(value)

"""Features of several models for the same patches, and which of them may be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.verbs.feature_files import load_features, load_index, models_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass
class FeatureSet:
    """Features of several models for the same patches.

    Attributes
    ----------
    name : str
        Name of the data set.
    index : pandas.DataFrame
        Columns of `FEATURE_INDEX`; ``seen`` holds if any of the models' networks has seen a row.
    models : dict of str to Artefact
        Where the features of each model lie.
    """

    name: str
    index: pd.DataFrame
    models: dict[str, Artefact]

    @classmethod
    def of(cls, artefacts: Sequence[Artefact], wanted: Sequence[str]) -> Self:
        """Join features artefacts of one patches artefact.

        Parameters
        ----------
        artefacts : sequence of Artefact
            Features artefacts, at least one.
        wanted : sequence of str
            Models to keep, all if empty.

        Raises
        ------
        InputError
            They are of different patches, or a model occurs twice or nowhere.
        """
        indices = [load_index(artefact) for artefact in artefacts]
        first = indices[0]
        models: dict[str, Artefact] = {}
        for artefact, index in zip(artefacts, indices, strict=True):
            same = _patches_of(artefact) == _patches_of(artefacts[0])
            if not (same and index["patch_id"].equals(first["patch_id"])):
                raise InputError(
                    f"{artefact.path} has features of other patches than {artefacts[0].path}",
                    "give features of one patches artefact",
                )
            if twice := [name for name in models_of(artefact) if name in models]:
                raise InputError(
                    f"the model {twice[0]} is in {models[twice[0]].path} and {artefact.path}",
                    "embed one of them with another --name",
                )
            models |= dict.fromkeys(models_of(artefact), artefact)
        index = first.assign(seen=sum(i["seen"].astype(int) for i in indices) > 0)
        if unknown := [name for name in wanted if name not in models]:
            raise InputError(
                f"no features of the model {unknown[0]}", f"choose of {', '.join(models)}"
            )
        chosen = {name: models[name] for name in wanted or models}
        return cls(str(artefacts[0].facts["dataset"]), index, chosen)

    def features(self, model: str, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Load the features of some rows for one model, float32 (n, D)."""
        return load_features(self.models[model], model)[rows]


def _patches_of(artefact: Artefact) -> list[str]:
    """Id of the patches that features were made from: one name may be cut at two scales."""
    return [i["id"] for i in artefact.manifest["inputs"] if i["role"] == "patches"]


def rows_to_test(
    data: FeatureSet, rule: Literal["auto", "all", "test"], reporter: Reporter
) -> NDArray[np.bool_]:
    """Choose the rows to test on: never one that a network was tuned on.

    Parameters
    ----------
    data : FeatureSet
        The features.
    rule : {"auto", "all", "test"}
        "auto" takes the test rows where a network was tuned on all others, else all.
    reporter : Reporter
        Whom to tell of the choice.

    Returns
    -------
    array of bool, shape (N,)
        The rows.

    Raises
    ------
    InputError
        A network has seen one of the rows, or test rows are needed and there are none.
    """
    import numpy as np

    test = (data.index["split"] == "test").to_numpy(bool)
    seen = data.index["seen"].to_numpy(bool)
    if rule == "auto" and seen.any() and not seen[~test].all():
        raise InputError(
            f"{data.name}: a network was tuned on {int(seen.sum())} of its {len(seen)} patches (or "
            "on their groups), but not on all of its training rows, so it was tuned on another "
            "set that shares them, or after another split",
            "take the shared images out of one of the sets, or evaluate with --rows test",
        )
    if rule == "test" or (rule == "auto" and seen.any()):
        if not test.any():
            raise InputError(
                f"{data.name} has no test rows, and a network was tuned on {int(seen.sum())} of "
                f"its {len(seen)} patches",
                "standardize it with a test split, or evaluate on another set",
            )
        rows = test
        if rule == "auto":
            reporter.note(
                f"{data.name}: a network was tuned on this set, so only its {int(test.sum())} "
                "test rows are evaluated"
            )
    else:
        rows = np.ones(len(test), dtype=bool)
    if (rows & seen).any():
        raise InputError(
            f"{data.name}: a network was tuned on {int((rows & seen).sum())} of the "
            f"{int(rows.sum())} patches (or on their groups) that it would be tested on",
            "evaluate on a set without them, or tune again without them",
        )
    return rows

"""Show what networks look at, and how their feature spaces lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, make_once, open_artefact
from histograft.core.configuration import Role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.explanation import Explanation
from histograft.verbs.mask_classes import parse_mask_classes
from histograft.verbs.network_spaces import Tsne

VERSION = 2
Method = Literal[
    "grad-cam",
    "grad-cam++",
    "xgrad-cam",
    "hires-cam",
    "layer-cam",
    "elementwise-cam",
    "eigen-cam",
    "eigen-grad-cam",
]


@dataclass(frozen=True, kw_only=True)
class Explain:
    """Show what networks look at in the same patches, side by side, with maps of their features.

    Writes class activation maps over patches, a table of predictions, t-SNE maps of the pooled
    features with what their full space says, and, where masks of the classes are given, how often
    maps point into them.

    Attributes
    ----------
    networks : tuple of Path
        Network artefacts, to be shown side by side.
    patches : Path
        A patches artefact.
    out : Path
        Folder of the report artefact; new or empty.
    method : str
        How maps are made; grad-cam++ by default.
    n : int
        Patches to show, of all classes in turn.
    split : str
        Which patches: train, val, test or all.
    shown : str
        Class of the maps: what each network has predicted, or the truth (each label apart);
        predicted by default, and the truth where masks are given.
    aug_smooth : bool
        Mean of six maps of the patch, its mirror image and darker and lighter ones.
    eigen_smooth : bool
        First principal component of the weighted channels, its sign fixed.
    layer : str
        Module of the networks to look at; by default the CAM layer that each declares.
    masks : Path
        Folder of masks, each at the place that its patch has below images, such as PATCHES/masks.
    mask_classes : tuple of str
        Classes of the codes in masks, such as 1=tumor 2=stroma; by default those of the patches,
        else anything but 0 is the class of the patch.
    tolerance_px : float
        Pixels beside a mask that still count as a hit.
    n_scored : int
        Patches with masks that are scored.
    tsne : str
        Settings of the maps of features: recommended, paper (as in HistoKT), or none for no maps.
    seed : int
        Seed of the choice of patches, of the maps of features and of intervals.
    batch_size : int
        Patches of a pass.
    device : str
        auto, cpu or cuda.
    """

    networks: Annotated[tuple[Path, ...], Role.INPUT] = field(kw_only=False)
    patches: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    method: Method = "grad-cam++"
    n: int = 8
    split: Literal["train", "val", "test", "all"] = "test"
    shown: Literal["predicted", "true"] | None = None
    aug_smooth: bool = False
    eigen_smooth: bool = False
    layer: str | None = None
    masks: Annotated[Path | None, Role.INPUT] = None
    mask_classes: tuple[str, ...] = ()
    tolerance_px: float = 15.0
    n_scored: int = 200
    tsne: Tsne = "recommended"
    seed: int = 0
    batch_size: Annotated[int, Role.EXECUTION] = 32
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        for name in ("n", "n_scored", "batch_size"):
            require_at_least(getattr(self, name), 1, name)
        require_at_least(self.seed, 0, "seed")
        parse_mask_classes(self.mask_classes)
        if not self.networks:
            raise InputError("no network is given", "name one network artefact or more")
        if self.method == "hires-cam" and self.eigen_smooth:
            raise InputError(
                "HiResCAM says exactly what raised a score, which a first component does not",
                "leave out --eigen-smooth, or use --method grad-cam",
            )
        if not self.tolerance_px >= 0:
            raise InputError(f"--tolerance-px is {self.tolerance_px}", "give 0 or more")
        if self.masks is not None and self.shown == "predicted":
            raise InputError(
                "masks say where the true class is, maps are to be of the predicted one",
                "leave out --shown predicted, or --masks",
            )
        if self.mask_classes and self.masks is None:
            raise InputError("--mask-classes is given without --masks", "give --masks FOLDER")


PRESETS: dict[str, dict[str, Any]] = {
    # Zhang et al. 2022: figures 2 and 3 as their code made them.
    "paper": {
        "method": "grad-cam",
        "aug_smooth": True,
        "eigen_smooth": True,
        "tsne": "paper",
        "seed": 10,
    },
    "recommended": {},
}


def explain(config: Explain, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact on what networks look at.

    Parameters
    ----------
    config : Explain
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``, with ``index.html``, ``figures/``, ``explained.csv`` and, where asked
        for, ``projection.csv`` and ``pointing.csv``.

    Raises
    ------
    InputError
        The networks do not know the classes to look for, or no patch or mask is there.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    patches = open_artefact(config.patches, "patches")
    artefacts = [open_artefact(path, "network") for path in config.networks]
    work = Explanation(config, patches, artefacts, reporter)
    return make_once(config.out, work.identity(VERSION), work.fill, reporter)

"""Features of slides as an AnnData object, for scanpy, squidpy and LazySlide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.contract import choose_model
from histograft.verbs.feature_formats.own import find, read_slide, recognize
from histograft.verbs.feature_formats.tiles import SlideTiles

if TYPE_CHECKING:
    from anndata import AnnData


def to_anndata(path: Path | str, model: str | None = None) -> AnnData:
    """Read features of tiles into an AnnData object.

    Parameters
    ----------
    path : path-like
        Folder of `histograft embed SLIDES` or `histograft convert` (all slides of its list, one
        after another), or of one slide below its ``slides``.
    model : str, optional
        Which features, where there are several.

    Returns
    -------
    anndata.AnnData
        ``X``: features, float32 (N, D). ``obs``: ``slide_id``, ``patient_id`` (of a list), ``x``
        and ``y`` (level-0 pixels) and ``status`` of each tile, named SLIDE-ROW.
        ``obsm["spatial"]``: x and y again, where squidpy looks. ``uns["histograft"]``: the model
        and what is known of each slide's tiles.

    Raises
    ------
    InputError
        anndata is not installed, or the model is not there.
    ArtefactError
        The folder is not what it should be.
    """
    import numpy as np
    import pandas as pd

    anndata = _import_anndata()
    name, slides, patients = _slides(Path(path), model)
    table = pd.DataFrame(
        {
            "slide_id": pd.Categorical(
                [slide.slide_id for slide in slides for _ in slide.coords],
                categories=[slide.slide_id for slide in slides],
            ),
            "x": np.concatenate([slide.coords[:, 0] for slide in slides]),
            "y": np.concatenate([slide.coords[:, 1] for slide in slides]),
            "status": np.concatenate([np.asarray(slide.extras.status) for slide in slides]),
        },
        index=[f"{slide.slide_id}-{row}" for slide in slides for row in range(len(slide.coords))],
    )
    if any(patients.values()):
        by_tile = pd.Categorical(
            [patients[slide.slide_id] for slide in slides for _ in slide.coords]
        )
        table.insert(1, "patient_id", pd.Series(by_tile, index=table.index))
    features = np.concatenate([slide.features for slide in slides])
    sidecar = {slide.slide_id: _known(slide) for slide in slides}
    return anndata.AnnData(
        X=features,
        obs=table,
        var=pd.DataFrame(index=[str(column) for column in range(features.shape[1])]),
        obsm={"spatial": np.concatenate([slide.coords for slide in slides])},
        uns={"histograft": {"model": name, "slides": sidecar}},
    )


def _import_anndata() -> Any:
    try:
        import anndata
    except ImportError as error:
        raise InputError(
            "anndata is not installed", "install it: pip install 'histograft[anndata]'"
        ) from error
    return anndata


def _slides(path: Path, model: str | None) -> tuple[str, list[SlideTiles], dict[str, str | None]]:
    """Model, slides, and patients by slide."""
    if is_artefact(path) and "slide_id" in open_artefact(path, "features").facts:
        artefact = open_artefact(path)
        name = choose_model(artefact.facts["models"], model, path)
        return name, [read_slide(artefact, name)], {}
    if not recognize(path):
        raise InputError(
            f"{path} holds no features of slides",
            "give the folder of `histograft embed SLIDES`, or one of those below its slides",
        )
    found = find(path, model, None)
    slides = [slide.load(None) for slide in found]
    patients = {slide.slide_id: slide.patient_id for slide in found}
    return str(slides[0].model), slides, patients


def _known(slide: SlideTiles) -> dict[str, Any]:
    """Return what is known of a slide's tiles; AnnData files cannot hold None."""
    scale = slide.scale.as_json() | {"effective_mpp": slide.scale.effective_mpp}
    known = scale | slide.extras.attributes
    return {name: value for name, value in known.items() if value is not None}

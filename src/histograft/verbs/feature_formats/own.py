"""histograft's own tree: an artefact for each slide below ``slides``, and the list at ``index``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    is_artefact,
    make_once,
    open_artefact,
)
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import Reporter
from histograft.verbs.feature_formats.contract import Found, choose_model
from histograft.verbs.feature_formats.feature_file import read_feature_file, write_feature_file
from histograft.verbs.feature_formats.tiles import SlideTiles
from histograft.verbs.slide_embedding import SLIDES_FOLDER, slide_folder
from histograft.verbs.slide_list import INDEX_FOLDER, Outcome, publish_list, read_list


def recognize(source: Path) -> bool:
    """Whether a folder is a tree that `embed` or `convert` made of slides."""
    folders = source / SLIDES_FOLDER
    made = folders.is_dir() and any(is_artefact(folder) for folder in folders.iterdir())
    return made or is_artefact(source / INDEX_FOLDER)


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides that the list names, without those that failed.

    Raises
    ------
    ArtefactError
        The list is not finished.
    InputError
        The model is not there, or several are and none is chosen.
    """
    if coordinates is not None:
        raise InputError("features of histograft have coordinates", "leave out --coordinates")
    index = open_artefact(source / INDEX_FOLDER, "features")
    table = read_list(index)
    chosen = choose_model(index.facts["models"], model, source)
    return [
        _found(source, row, chosen)
        for row in table.astype(object).where(table.notna(), None).to_dict("records")
        if row["status"] != "failed"
    ]


def read_slide(artefact: Artefact, model: str) -> SlideTiles:
    """Read the features of a slide's artefact.

    Raises
    ------
    ArtefactError
        The artefact has no such model, or its file is gone or damaged.
    InputError
        The file is not what the schema says.
    """
    slide_id = str(artefact.facts["slide_id"])
    return read_feature_file(artefact.file(f"{model}.h5"), slide_id, model)


def _found(source: Path, row: Mapping[Any, Any], model: str) -> Found:
    folder = slide_folder(source, row["slide_id"])

    def load(mpp: float | None) -> SlideTiles:
        del mpp  # ours state what they know
        try:
            return read_slide(open_artefact(folder, "features"), model)
        except ArtefactError as error:  # of one slide: the others can be converted
            raise InputError(error.problem, error.fix) from error

    path = folder / f"{model}.h5"
    record = open_artefact(folder).as_input("slide") if is_artefact(folder) else None
    return Found(row["slide_id"], (path,), load, row["patient_id"], model, record)


def make_slide(
    out: Path, slide_id: str, identity: Identity, read: Callable[[], SlideTiles]
) -> Artefact:
    """Make the artefact of one slide from what is read elsewhere, or return it if it is there.

    Parameters
    ----------
    out : pathlib.Path
        Folder of all.
    slide_id : str
        Name of the slide.
    identity : Identity
        What it is made from; its configuration names the layout.
    read : callable
        Reads the slide; called before anything is written, so that what cannot be read leaves
        no folder.

    Returns
    -------
    Artefact
        With ``MODEL.h5``; it has no outline and no overview, for there are no pixels.
    """
    folder = slide_folder(out, slide_id)
    tiles = None if is_artefact(folder) else read()

    def work(draft: Draft) -> Artefact:
        return _write_slide(tiles or read(), str(identity.config["layout"]), draft)

    return make_once(folder, identity, work)


def _write_slide(tiles: SlideTiles, layout: str, draft: Draft) -> Artefact:
    with draft.writing(f"{tiles.model}.h5") as path:
        write_feature_file(path, tiles)
    scale = tiles.scale
    return draft.finish(
        {
            "unit": "tile",
            "slide_id": tiles.slide_id,
            "models": [tiles.model],
            "reader": layout,
            "size": [scale.width0, scale.height0],
            "mpp": scale.mpp0,
            "mpp_source": scale.mpp_source,
            "mpp_effective": scale.effective_mpp,
            "upsampled": None,
            "tissue_mm2": None,
            "n_tiles": len(tiles.coords),
            "n_features": tiles.features.shape[1],
            "n_unreadable": len(tiles.extras.left_out),  # type: ignore[arg-type]
            "stain_status": {},
            "notes": [*tiles.notes, *_unknown(tiles)],
        }
    )


def _unknown(tiles: SlideTiles) -> list[str]:
    scale = tiles.scale
    notes = [] if scale.mpp0 is not None else ["µm/px of the slide is not known"]
    if scale.side0 is None:
        notes.append("the size of its tiles on the slide is not known")
    return notes


def make_index(
    out: Path, outcomes: Sequence[Outcome], settings: dict[str, Any], version: int,
    reporter: Reporter,
) -> Artefact:  # fmt: skip
    """Write the list of the slides that were read, in the form that `embed` writes it.

    Parameters
    ----------
    out : pathlib.Path
        Folder of all.
    outcomes : sequence of Outcome
        What became of each slide.
    settings : dict
        What goes into the identity beside the slides.
    version : int
        Of the verb.
    reporter : Reporter
        Whom to tell.
    """
    slides = [open_artefact(slide_folder(out, o.slide_id)) for o in outcomes if o.facts]
    inputs = tuple(slide.as_input("slide") for slide in slides)
    identity = Identity("features", "convert", version, settings, inputs)
    return publish_list(outcomes, slides, identity, out, reporter)

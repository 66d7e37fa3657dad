"""Say which tissue tiles of slides show, by the network of their features, or whole pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    is_artefact,
    make_once,
    open_artefact,
)
from histograft.core.columns import Column, TableSpec
from histograft.core.configuration import Role
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.units import SCANNER_TOLERANCE
from histograft.verbs.networks import load_network, load_spec
from histograft.verbs.piece_classes import classify_pieces
from histograft.verbs.slide_list import open_list, open_listed, read_list
from histograft.verbs.unused_options import refuse_unused

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.imaging.geojson import Shape
    from histograft.learning.network import Network, Point

VERSION = 1
SHARES = "class_shares.csv"
TILES_FOLDER, QUPATH_FOLDER = "tiles", "qupath"
ROWS_AT_ONCE = 4096
# Points after which the network's own layers go on; of several the shortest way is taken.
POINTS: tuple[Point, ...] = ("dense", "dense-pre", "gap")
TILE_CLASSES = TableSpec(
    "tile classes",
    (
        Column("x0", "integer", "left edge of the tile, level-0 px"),
        Column("y0", "integer", "upper edge of the tile, level-0 px"),
        Column("side0", "integer", "side of the tile, level-0 px"),
        Column("class", "text", "the most probable class"),
        Column("probability", "number", "its probability by the network, 0-1; not calibrated"),
    ),
    key=("x0", "y0"),
)
CLASS_SHARES = TableSpec(
    "class shares",
    (
        Column("slide_id", "text", "slide"),
        Column("patient_id", "text", "its patient", nullable=True),
        Column("class", "text", "class of the network"),
        Column("n_tiles", "integer", "tiles of the slide for which it is the most probable"),
        Column("share", "number", "their share of the tiles of the slide, 0-1"),
    ),
    key=("slide_id", "class"),
)


@dataclass(frozen=True, kw_only=True)
class Classify:
    """Say which tissue each tile of slides shows, with the network that made its features.

    Needs no pixels: the network's last layers go on from the features that are stored. Writes a
    table and a GeoJSON for QuPath for each slide, and the shares of the classes. Of whole pieces
    (`histograft rescale`) and a network of `histograft distill`: the classes of each piece, slide
    and patient; of the last two by the mean over their pieces, weighted by area of tissue.

    Attributes
    ----------
    features : Path
        What `histograft embed SLIDES --network NETWORK` made; or pieces of `histograft rescale`.
    network : Path
        The same network artefact; for pieces one of `histograft distill` at their scale.
    out : Path
        Folder of the predictions artefact; new, empty, or of the same unfinished run.
    model : str
        Which features to go on from, where there are several; the dense layer by default.
    device : str
        Pieces: auto, cpu or cuda.
    """

    features: Annotated[Path, Role.INPUT] = field(kw_only=False)
    network: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    model: str | None = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def classify(config: Classify, reporter: Reporter = SILENT) -> Artefact:
    """Make the artefact with the tissue classes of tiles.

    Parameters
    ----------
    config : Classify
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``predictions``: for each slide with tiles ``tiles/SLIDE.parquet`` and
        ``qupath/SLIDE.geojson`` (level-0 pixels), and ``class_shares.csv``; of pieces see
        `histograft.verbs.piece_classes.classify_pieces`.

    Raises
    ------
    InputError
        The features are of another network, or of a point from which it does not go on.
    ArtefactError
        The folder is taken, or cannot be written, or features are damaged.
    """
    if is_artefact(config.features) and open_artefact(config.features).kind == "patches":
        refuse_unused(config, ("model",), PRESETS, "for features of tiles")
        return classify_pieces(config, reporter)
    network = open_artefact(config.network, "network")
    _refuse_pieces(config, network)
    listed = open_list(config.features)
    model, point = _choose(listed.facts["models"], config.model)
    inputs = (listed.as_input("features"), network.as_input("network"))
    identity = Identity("predictions", "classify", VERSION, {"model": model}, inputs)

    def work(draft: Draft) -> Artefact:
        return _classify(listed, network, (model, point), draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _refuse_pieces(config: Classify, network: Artefact) -> None:
    """Say what a network of pieces takes, where it is given something else."""
    if "level" not in network.facts:
        return
    scale = " --scale relative" if network.facts["scale"] == "relative" else ""
    raise InputError(
        f"{config.network} sees pieces of tissue, and {config.features} holds none",
        "make them of slides or images and classify these: `histograft rescale SAMPLES --level "
        f"{network.facts['level']:g}{scale} --out PIECES`",
    )


def _choose(models: Sequence[str], wanted: str | None) -> tuple[str, Point]:
    """Find the features from which the way to the classes is shortest."""
    if wanted is not None and wanted not in models:
        raise InputError(f"no features of the model {wanted}", f"choose of {', '.join(models)}")
    candidates = models if wanted is None else [wanted]
    for point in POINTS:
        if (found := next((m for m in candidates if m.endswith(f"-{point}")), None)) is not None:
            return found, point
    raise InputError(
        f"the network does not go on from the features {', '.join(candidates)}",
        "embed the slides with --points dense or --points gap",
    )


def _classify(
    listed: Artefact,
    network: Artefact,
    features: tuple[str, Point],
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    spec = load_spec(network)
    loaded = load_network(network)
    index = read_list(listed)
    slides = index[index["n_tiles"] > 0]
    for name in (TILES_FOLDER, QUPATH_FOLDER):
        (draft.path / name).mkdir(exist_ok=True)
    shares: list[dict[str, Any]] = []
    scales: set[float] = set()
    stains: set[str] = set()
    patients = slides["patient_id"].astype(object).where(slides["patient_id"].notna(), None)
    with reporter.task("tissue of tiles", len(slides)) as task:
        for slide_id, patient in zip(slides["slide_id"], patients, strict=True):
            artefact = open_listed(listed, slide_id)
            table, stated = _tiles_of(artefact, network, loaded, features)
            _write_tiles(draft, slide_id, table, spec.classes)
            shares += _shares(slide_id, patient, table, spec.classes)
            if not isinstance(mpp := stated.get("histo_mpp_target", "None"), str):
                scales.add(float(mpp))
            stains.add(str(stated.get("histo_stain", "unknown")))
            task.advance(1, slide_id)
    _write_shares(draft, shares)
    note = _scale_note(spec.mpp, scales)
    if note is not None:
        reporter.warn(note)
    return draft.finish(
        {
            "unit": "tile",
            "classes": list(spec.classes),
            "model": features[0],
            "tuned_on": network.facts.get("tuned_on"),
            "several_classes": spec.task == "multilabel",
            "n_slides": len(slides),
            "n_tiles": int(slides["n_tiles"].sum()),
            "stains": sorted(stains),
            "notes": [] if note is None else [note],
        }
    )


def _tiles_of(
    artefact: Artefact, network: Artefact, loaded: Network, features: tuple[str, Point]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Classes of the tiles of a slide, and what its features state."""
    import h5py
    import numpy as np
    import pandas as pd

    from histograft.learning.heads import class_probabilities

    model, point = features
    path = artefact.file(f"{model}.h5")
    with h5py.File(path, "r") as file:
        stated = dict(file["features"].attrs)
        if stated.get("histo_network") != network.id:
            raise InputError(
                f"{path} holds features of another network "
                f"({str(stated.get('histo_network'))[:12]}, not {network.id[:12]})",
                "give --network the artefact that the slides were embedded with, or embed them "
                "with this one",
            )
        side0 = file["coords"].attrs.get("patch_size_level0", "None")
        if isinstance(side0, str):
            raise InputError(
                f"{path} does not state how large its tiles are",
                "embed the slides with histograft, or convert features that state it",
            )
        coords = file["coords"][:]
        parts = [
            class_probabilities(loaded, file["features"][i : i + ROWS_AT_ONCE], point)
            for i in range(0, len(coords), ROWS_AT_ONCE)
        ]
    probabilities: NDArray[np.float32] = np.concatenate(parts)
    best = probabilities.argmax(axis=1)
    table = pd.DataFrame({"x0": coords[:, 0], "y0": coords[:, 1], "side0": int(side0)})
    table["class"] = np.asarray(loaded.spec.classes, dtype=object)[best]
    table["probability"] = probabilities[np.arange(len(best)), best]
    return TILE_CLASSES.check(table, str(path)), stated


def _write_tiles(draft: Draft, slide_id: str, table: pd.DataFrame, classes: Sequence[str]) -> None:
    from histograft.figures.slide_map import class_rgb
    from histograft.imaging.geojson import to_geojson

    with draft.writing(f"{TILES_FOLDER}/{slide_id}.parquet") as path:
        table.to_parquet(path, index=False)
    shapes = _shapes(table, class_rgb(classes))
    draft.write_text(f"{QUPATH_FOLDER}/{slide_id}.geojson", to_geojson(shapes) + "\n")


def _shapes(table: pd.DataFrame, colors: Mapping[str, tuple[int, int, int]]) -> list[Shape]:
    """Tiles as detections of QuPath, which takes 10^5 of them."""
    from histograft.imaging.geojson import Shape, square

    columns = (table[name].tolist() for name in ("x0", "y0", "side0", "class", "probability"))
    return [
        Shape(
            (square(x0, y0, side0),),
            class_name=name,
            color=colors[name],
            object_type="detection",
            measurements={"Probability": round(p, 4)},
        )
        for x0, y0, side0, name, p in zip(*columns, strict=True)
    ]


def _shares(
    slide_id: str, patient: str | None, table: pd.DataFrame, classes: Sequence[str]
) -> list[dict[str, Any]]:
    counts = table["class"].value_counts()
    return [
        {
            "slide_id": slide_id,
            "patient_id": patient,
            "class": name,
            "n_tiles": int(counts.get(name, 0)),
            "share": float(counts.get(name, 0) / len(table)),
        }
        for name in classes
    ]


def _write_shares(draft: Draft, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    if not rows:
        raise InputError("no slide has tiles", "see the outcome table of `histograft embed`")
    table = CLASS_SHARES.check(pd.DataFrame(rows), SHARES)
    with draft.writing(SHARES) as path:
        table.to_csv(path, index=False, float_format="%.6g")


def _scale_note(tuned: float | None, seen: set[float]) -> str | None:
    """Say where the network judges tiles at another scale than it was tuned at."""
    other = sorted(mpp for mpp in seen if tuned and abs(tuned / mpp - 1) > SCANNER_TOLERANCE)
    if tuned is None or not other:
        return None
    return (
        f"the network was tuned at {tuned:g} µm/px and judges tiles at "
        f"{', '.join(f'{mpp:g}' for mpp in other)} µm/px: do not trust these classes"
    )

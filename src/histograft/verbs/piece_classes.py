"""Say what whole pieces of tissue show, and with them their slides and patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.columns import Column, TableSpec
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter, counted
from histograft.verbs.networks import TUNED_ON, load_network, tuned_on
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_overlap import rows_seen
from histograft.verbs.piece_pairs import Pieces, check_level
from histograft.verbs.slide_samples import BOX

if TYPE_CHECKING:
    import pandas as pd

    from histograft.imaging.geojson import Shape
    from histograft.verbs.classify import Classify

VERSION = 1
PIECES, SLIDES, PATIENTS, QUPATH = "pieces.parquet", "slides.csv", "patients.csv", "qupath"
PIECES_CSV = "pieces.csv"  # without labels, which are no answer of the network
_UM2_PER_MM2 = 1e6
_ALL = (
    Column("area_mm2", "number", "area that counts as weight, mm²; without µm/px in pixels"),
    Column("class", "text", "the most probable class"),
    Column("probability", "number", "its probability by the network, 0-1; not calibrated"),
    Column("seen", "boolean", "whether the network was tuned on it, or on its group"),
)
_SLIDE = Column("slide_id", "text", "slide", required=False, nullable=True)
_PATIENT = Column("patient_id", "text", "its patient", required=False, nullable=True)
PIECE_CLASSES = TableSpec(
    "piece classes",
    (
        Column("patch_id", "text", "name of the piece"),
        Column("file", "text", "the image or slide that it is of, as its table names it"),
        _SLIDE,
        _PATIENT,
        *(
            Column(n, "integer", "as in the patches table", required=False, nullable=True)
            for n in BOX
        ),
        Column("label", "text", "as in the patches table; nothing here depends on it"),
        *_ALL,
    ),
    key=("patch_id",),
)


def classify_pieces(config: Classify, reporter: Reporter) -> Artefact:
    """Make the artefact with classes of pieces, slides and patients.

    Parameters
    ----------
    config : Classify
        Its ``features`` are a patches artefact of `rescale`.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``predictions``: ``pieces.parquet`` and ``pieces.csv``, and of slides
        ``slides.csv``, ``patients.csv`` and ``qupath/SLIDE.geojson`` (level-0 pixels).

    Raises
    ------
    InputError
        The network is not of `distill`, or the pieces are at another scale.
    """
    patches = open_artefact(config.features, "patches")
    network = open_artefact(config.network, "network")
    _check(patches, network)
    inputs = (patches.as_input("patches"), network.as_input("network"))
    identity = Identity("predictions", "classify", VERSION, {"model": None}, inputs)

    def work(draft: Draft) -> Artefact:
        table, classes = _classes_of(patches, network, config.device, reporter)
        with draft.writing(PIECES) as path:
            PIECE_CLASSES.check(table, PIECES).to_parquet(path, index=False)
        with draft.writing(PIECES_CSV) as path:
            table.drop(columns="label").to_csv(path, index=False, float_format="%.6g")
        facts = {
            "unit": "piece",
            "classes": classes,
            "level": patches.facts["level"],
            "scale": patches.facts["scale"],
            "tuned_on": network.facts.get("tuned_on"),
            "n_pieces": len(table),
            "n_seen": int(table["seen"].sum()),
        }
        facts |= _write_units(draft, table, classes)
        _tell(facts, table, reporter)
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))

    return make_once(config.out, identity, work, reporter)


def _check(patches: Artefact, network: Artefact) -> None:
    """Refuse a network that did not learn from pieces of this scale."""
    if "level" not in network.facts:
        raise InputError(
            f"{network.path} did not learn from whole pieces",
            "give a network of `histograft distill`, or features of slides that it made",
        )
    if "level" not in patches.facts:
        raise InputError(
            f"{patches.path} does not hold whole pieces", "make them by `histograft rescale`"
        )
    check_level(network, patches, "the network learned at", "the pieces are at")


def _classes_of(
    patches: Artefact, network: Artefact, device: str, reporter: Reporter
) -> tuple[pd.DataFrame, list[str]]:
    """Probabilities of all pieces, with what is known of them."""
    from histograft.learning.piece_scores import piece_probabilities

    rows = load_patches(patches)
    loaded = load_network(network)
    classes = list(loaded.spec.classes)
    with reporter.task("classes of pieces", 1) as task:
        found = piece_probabilities(loaded, Pieces(patches, rows), device=device)
        task.advance()
    known = ["slide_id", "patient_id", *BOX]
    columns = ["patch_id", "source_file", *(n for n in known if n in rows), "label"]
    table = rows[columns].rename(columns={"source_file": "file"})
    table["area_mm2"] = _areas(patches, rows)
    table["class"] = [classes[i] for i in found.argmax(axis=1)]
    table["probability"] = found.max(axis=1)
    table["seen"] = rows_seen(rows, tuned_on(network) if TUNED_ON in network.files else set())
    for i, name in enumerate(classes):
        table[f"p:{name}"] = found[:, i]
    stated = rows["group_source"].isin(("samples", "catalogue"))  # others are slides or images
    if "patient_id" not in table and stated.any():
        table["patient_id"] = rows["group"].where(stated)
    return table, classes


def _areas(patches: Artefact, rows: pd.DataFrame) -> list[float]:
    """Area of each piece: of its tissue, where that was found; else of the image."""
    if "area_mm2" in rows and rows["area_mm2"].notna().all():
        return [float(area) for area in rows["area_mm2"]]
    pieces = Pieces(patches, rows)
    pixels = [pieces.shape(i)[0] * pieces.shape(i)[1] for i in range(len(rows))]
    mpp = rows["mpp"].tolist()
    if rows["mpp"].isna().any():
        return [float(n) for n in pixels]
    return [n * side**2 / _UM2_PER_MM2 for n, side in zip(pixels, mpp, strict=True)]


def weighted_classes(table: pd.DataFrame, unit: str, classes: Sequence[str]) -> pd.DataFrame:
    """Average probabilities over the pieces of each slide or patient, weighted by area.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``p:CLASS``, ``area_mm2``, ``seen``, and `unit`, whose empty rows are left out.
    unit : {"slide_id", "patient_id"}
        What to average over.
    classes : sequence of str
        Of the network, in its order.

    Returns
    -------
    pandas.DataFrame
        A row for each unit: its name, of slides also the patient, ``n_pieces``, ``area_mm2``,
        ``class``, ``probability``, ``seen`` and ``p:CLASS``: ``p = Σ area · p / Σ area``.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"slide_id": ["a", "a"], "area_mm2": [3.0, 1.0], "seen": False}
    >>> pieces = pd.DataFrame(rows | {"p:x": [1.0, 0.2], "p:y": [0.0, 0.8]})
    >>> weighted_classes(pieces, "slide_id", ["x", "y"])[["class", "probability"]].values.tolist()
    [['x', 0.8]]
    """
    import numpy as np
    import pandas as pd

    columns = [f"p:{name}" for name in classes]
    made = []
    for name, part in table[table[unit].notna()].groupby(unit, sort=True):
        means = np.average(part[columns].to_numpy(float), axis=0, weights=part["area_mm2"])
        row: dict[str, Any] = {unit: str(name)}
        if unit == "slide_id" and "patient_id" in part:
            row["patient_id"] = part["patient_id"].iloc[0]
        if unit == "patient_id" and "slide_id" in part:
            row["n_slides"] = part["slide_id"].nunique()
        best = int(means.argmax())
        row |= {"n_pieces": len(part), "area_mm2": float(part["area_mm2"].sum())}
        row |= {"class": classes[best], "probability": float(means[best])}
        row |= {"seen": bool(part["seen"].any())} | dict(zip(columns, means.tolist(), strict=True))
        made.append(row)
    return pd.DataFrame(made)


def _write_units(draft: Draft, table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Write slides and patients, and outlines for QuPath; return how many there are."""
    counts = {"n_slides": 0, "n_patients": 0}
    for unit, file in (("slide_id", SLIDES), ("patient_id", PATIENTS)):
        if unit not in table or table[unit].isna().all():
            continue
        units = weighted_classes(table, unit, classes)
        counts[f"n_{unit.removesuffix('_id')}s"] = len(units)
        with draft.writing(file) as path:
            units.to_csv(path, index=False, float_format="%.6g")
    if counts["n_slides"] and BOX[0] in table:  # images may name their slide, and not where on it
        _write_outlines(draft, table, classes)
    return counts


def _write_outlines(draft: Draft, table: pd.DataFrame, classes: Sequence[str]) -> None:
    from histograft.figures.slide_map import class_rgb
    from histograft.imaging.geojson import to_geojson

    (draft.path / QUPATH).mkdir(exist_ok=True)
    colors = class_rgb(classes)
    for slide_id, part in table[table["slide_id"].notna()].groupby("slide_id"):
        shapes = [_shape(row, classes, colors) for row in part.to_dict("records")]
        draft.write_text(f"{QUPATH}/{slide_id}.geojson", to_geojson(shapes) + "\n")


def _shape(
    row: Mapping[Any, Any], classes: Sequence[str], colors: Mapping[str, tuple[int, int, int]]
) -> Shape:
    import numpy as np

    from histograft.imaging.contours import Polygon
    from histograft.imaging.geojson import Shape

    x, y, width, height = (float(row[name]) for name in BOX)
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    return Shape(
        (Polygon(corners),),
        class_name=row["class"],
        color=colors[row["class"]],
        name=row["patch_id"],
        measurements={f"Probability {name}": round(row[f"p:{name}"], 4) for name in classes},
    )


def _tell(facts: dict[str, Any], table: pd.DataFrame, reporter: Reporter) -> None:
    shown = ", ".join(f"{n} {name}" for name, n in table["class"].value_counts().items())
    # Images state groups, which are patients as a rule and can be anything.
    nouns = {"slide": "slide", "patient": "patient" if BOX[0] in table else "group"}
    numbers = {noun: facts[f"n_{unit}s"] for unit, noun in nouns.items()}
    units = " and ".join(counted(n, noun) for noun, n in numbers.items() if n)
    of_units = f" of {units}" if units else ""
    reporter.note(f"{counted(len(table), 'piece')}{of_units}: {shown}")
    if facts["n_seen"]:
        reporter.warn(
            f"the network was tuned on {facts['n_seen']} of these pieces, their slides or "
            "patients: what it says of them shows nothing"
        )

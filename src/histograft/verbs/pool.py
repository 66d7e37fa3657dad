"""Average the tiles of slides to patients, and find the tile that is most like its slide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import SILENT, Reporter, counted
from histograft.core.tables import NEAREST_TILES, PATIENT_INDEX
from histograft.verbs.feature_origins import Origin, join_origins
from histograft.verbs.nearest_tiles import NEAREST, TileSource, keep_tiles
from histograft.verbs.patient_features import PATIENTS
from histograft.verbs.slide_list import INDEX, open_list, open_listed, read_list
from histograft.verbs.slides import SlideEntry, read_slides

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.pooling import FeatureSums

VERSION = 3
DROPS = "drops.csv"
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Average the features of tiles to patients.

    Attributes
    ----------
    features : Path
        What `histograft embed` made of slides.
    out : Path
        Folder of the features artefact; new, empty, or of the same unfinished run.
    slides : Path
        The table of slides that was embedded, to keep the pixels of each slide's tile nearest to
        its mean. Patients are those that the table named when it was embedded.
    weighting : str
        "tiles": each tile counts alike, as in the FTX paper; "slides": each slide counts alike.
    models : tuple of str
        Models to pool; all by default.
    sample_types : tuple of str
        TCGA sample types that are kept, where slides bear barcodes: "01" is the primary tumor.
    slide_kind : str
        Kind of slide that is kept, where slides bear barcodes: any, frozen or diagnostic.
    least_tissue_mm2 : float
        Leave out slides with less tissue, mm².
    """

    features: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    slides: Annotated[Path | None, Role.INPUT] = None
    weighting: Literal["tiles", "slides"] = "tiles"
    models: tuple[str, ...] = ()
    sample_types: tuple[str, ...] = ("01",)
    slide_kind: Literal["any", "frozen", "diagnostic"] = "any"
    least_tissue_mm2: float = 0.0

    def __post_init__(self) -> None:
        if not self.least_tissue_mm2 >= 0:
            raise InputError(f"--least-tissue-mm2 is {self.least_tissue_mm2}", "give 0 mm² or more")


PRESETS: dict[str, dict[str, Any]] = {"paper": {"weighting": "tiles"}, "recommended": {}}


def pool(config: Pool, reporter: Reporter = SILENT) -> Artefact:
    """Make a features artefact with one row for each patient.

    Parameters
    ----------
    config : Pool
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``features``: ``MODEL.h5`` for each model, ``patients.parquet`` (row i of every
        file is row i here), ``nearest_tiles.csv`` and ``drops.csv``; given the slides, also
        ``tiles/`` with those tiles. A slide that is not there any more is told and left out of it.

    Raises
    ------
    InputError
        There are no features of slides, or nobody is left.
    ArtefactError
        The folder is taken, or cannot be written, or features are damaged.
    """
    listed = open_list(config.features)
    entries = None
    if config.slides is not None:
        entries = {entry.slide_id: entry for entry in read_slides(config.slides)}
        _tell_other_patients(config.slides, entries, listed, reporter)
    settings = fields_with_role(config, Role.SETTING) | {"keeps_tiles": entries is not None}
    identity = Identity("features", "pool", VERSION, settings, (listed.as_input("features"),))

    def work(draft: Draft) -> Artefact:
        return _pool(config, listed, entries, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _tell_other_patients(
    table: Path, entries: dict[str, SlideEntry], listed: Artefact, reporter: Reporter
) -> None:
    """Warn where a table names other patients than when it was embedded, which count."""
    embedded = read_list(listed).set_index("slide_id")["patient_id"]
    embedded = embedded.astype(object).where(embedded.notna(), None)
    other = {
        str(name): (entries[name].patient_id, patient or "none")
        for name, patient in embedded.items()
        if name in entries and entries[name].patient_id not in (None, patient)
    }
    if not other:
        return
    name, (now, before) = next(iter(other.items()))
    reporter.warn(
        f"{table}: {counted(len(other), 'slide')} of another patient than when embedded, such as "
        f"{name} ({now}, then {before}): patients are taken as embedded; to change them, run the "
        "same `histograft embed` again with this table, which keeps the slides that are done, and "
        "pool into another folder"
    )


def _pool(
    config: Pool,
    listed: Artefact,
    entries: dict[str, SlideEntry] | None,
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    from histograft.stats.pooling import pool_slides

    slides, drops = _usable_slides(config, listed, reporter)
    models = _models(config, listed)
    patient_of = dict(zip(slides["slide_id"], slides["patient_id"], strict=True))
    sums, nearest, origins = _sum_up(listed, list(patient_of), models, reporter)
    patients = _patient_table(slides)
    made: dict[str, Origin] = {}
    for model in models:
        made[model] = _origin(config, model, origins[model], reporter)
        means = pool_slides(sums[model], patient_of, weighting=config.weighting)
        with draft.writing(f"{model}.h5") as path:
            _write(path, model, [means[p] for p in patients["patient_id"]], made[model])
    with draft.writing(PATIENTS) as path:
        PATIENT_INDEX.check(patients, PATIENTS).to_parquet(path, index=False)
    with draft.writing(NEAREST) as path:
        NEAREST_TILES.check(nearest, NEAREST).to_csv(path, index=False)
    with draft.writing(DROPS) as path:
        drops.to_csv(path, index=False)
    facts: dict[str, Any] = {
        "unit": "patient",
        "models": models,
        "made_by": {model: dict(origin.stated) for model, origin in made.items()},
        "sample_types": list(config.sample_types),
        "n_slides": len(slides),
        "n_patients": len(patients),
        "n_dropped": len(drops),
    }
    if entries is not None:
        sources = {
            name: TileSource(open_listed(listed, name), models[0], entries.get(name))
            for name in patient_of
        }
        facts |= keep_tiles(nearest, sources, draft, reporter)
    reporter.note(f"{counted(len(slides), 'slide')} of {counted(len(patients), 'patient')}")
    return draft.finish(facts)


def _sum_up(
    listed: Artefact, slides: list[str], models: list[str], reporter: Reporter
) -> tuple[dict[str, dict[Any, FeatureSums]], pd.DataFrame, dict[str, list[Origin]]]:
    """Sum up all slides by model; the tiles nearest to the means; how slides were embedded."""
    import pandas as pd

    sums: dict[str, dict[Any, FeatureSums]] = {model: {} for model in models}
    origins: dict[str, list[Origin]] = {model: [] for model in models}
    nearest: list[dict[str, Any]] = []
    with reporter.task("slides to patients", len(slides)) as task:
        for slide_id in slides:
            artefact = open_listed(listed, slide_id)
            for model in models:
                sums[model][slide_id], place, origin = _one_slide(artefact, model)
                origins[model].append(origin)
                nearest.append({"slide_id": slide_id, "model": model} | place)
            task.advance(1, slide_id)
    return sums, pd.DataFrame(nearest), origins


def _models(config: Pool, listed: Artefact) -> list[str]:
    there = list(listed.facts["models"])
    if unknown := [name for name in config.models if name not in there]:
        raise InputError(f"no features of the model {unknown[0]}", f"choose of {', '.join(there)}")
    return list(config.models) or there


def _usable_slides(
    config: Pool, listed: Artefact, reporter: Reporter
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Slides with tiles that the rules keep, each with its patient, and the others with reasons."""
    from histograft.molecular.barcodes import parse_barcode
    from histograft.molecular.cohort import CohortRules, build_cohort
    from histograft.molecular.drops import DropList, join_drops

    index = read_list(listed)
    own = DropList("slides")
    for row in index[index["n_tiles"] == 0].to_dict("records"):
        own.add("slide", row["slide_id"], "no-tiles", f"{row['status']}: {row['reason']}")
    rules = CohortRules(
        sample_types=config.sample_types,
        slide_kind=config.slide_kind,
        least_tissue_mm2=config.least_tissue_mm2,
    )
    usable = index.loc[index["n_tiles"] > 0, ["slide_id", "patient_id", "tissue_mm2"]]
    if usable.empty:
        raise InputError("no slide has tiles", "see the outcome table of `histograft embed`")
    if usable["patient_id"].isna().all() and not any(map(parse_barcode, usable["slide_id"])):
        raise InputError(
            "no patient is stated of any slide with tissue",
            "add a column patient_id to the table of slides and run the same `histograft embed` "
            "again, which keeps the slides that are done",
        )
    cohort = build_cohort(usable, rules, name=INDEX)
    for note in cohort.notes:
        reporter.note(note)
    drops = join_drops([own.table(), cohort.drops])
    for (kind, reason), rows in drops.groupby(["kind", "reason"], sort=False):
        reporter.note(f"left out: {counted(int(rows['count'].sum()), str(kind))} ({reason})")
    return cohort.slides.merge(index[["slide_id", "n_tiles"]], on="slide_id"), drops


def _one_slide(artefact: Artefact, model: str) -> tuple[FeatureSums, dict[str, Any], Origin]:
    """Sum up the tiles of a slide, find the one nearest to their mean, read how it was embedded."""
    from histograft.stats.pooling import FeatureSums, NearestTile

    with _opened(artefact, model) as file:
        size = file["features"].shape[1]
        sums = FeatureSums(size)
        for block in _blocks(file):
            sums.add(block)
        nearest = NearestTile(sums.mean, sums.sd)
        for block in _blocks(file):
            nearest.add(block)
        x0, y0 = file["coords"][nearest.index]
        # Files of other programs may not say how large their tiles are.
        side0 = file["coords"].attrs.get("patch_size_level0", "None")
        origin = Origin.read(file["features"].attrs)
    place = {"x0": int(x0), "y0": int(y0), "side0": None if side0 == "None" else int(side0)}
    return sums, place | {"distance": nearest.distance}, origin


@contextmanager
def _opened(artefact: Artefact, model: str) -> Iterator[Any]:
    """Open the features of a slide; what is wrong with them is said with the slide's name."""
    import h5py

    path = artefact.file(f"{model}.h5")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, InputError) as error:
        problem = error.problem if isinstance(error, InputError) else f"it is damaged ({error})"
        raise ArtefactError(
            f"{path}: {problem}",
            f"delete {artefact.path} and its list of slides, and embed again",
        ) from error


def _blocks(file: Any) -> Iterator[NDArray[np.float32]]:
    for start in range(0, file["features"].shape[0], ROWS_AT_ONCE):
        yield file["features"][start : start + ROWS_AT_ONCE]


def _patient_table(slides: pd.DataFrame) -> pd.DataFrame:
    grouped = slides.groupby("patient_id", sort=True)
    table = grouped.agg(n_slides=("slide_id", "size"), n_tiles=("n_tiles", "sum"))
    return table.reset_index()


def _origin(config: Pool, model: str, slides: list[Origin], reporter: Reporter) -> Origin:
    """Say how the features of patients were made."""
    origin, warnings = join_origins(slides, model)
    for warning in warnings:
        reporter.warn(warning)
    pooling = {
        "weighting": config.weighting,
        "slide_kind": config.slide_kind,
        "sample_types": json.dumps(list(config.sample_types)),
    }
    return Origin({**origin.stated, **pooling})


def _write(path: Path, model: str, means: list[NDArray[np.float64]], origin: Origin) -> None:
    import h5py
    import numpy as np

    common = {"name": "patients", "savetodir": "", "encoder": model, "histo_unit": "patient"}
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", data=np.stack(means).astype(np.float32))
        features.attrs.update(common | origin.attributes())

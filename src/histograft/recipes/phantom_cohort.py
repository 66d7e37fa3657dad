"""Write a phantom cohort to disk as a user would bring it: images and a samples.csv."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from histograft.core.files import write_bytes
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed

SIDE_UM = 96.0  # of each image


@dataclass(frozen=True)
class Cohort:
    """Patients of one phantom laboratory.

    Attributes
    ----------
    name : str
        Name of the data set.
    laboratory : str
        Name of a laboratory of `histograft.imaging.phantom`.
    n_patients : int
        Number of patients.
    images_per_class : int
        Images of every class of each patient.
    seed : int
        Root seed; cohorts of other names have other patients.
    """

    name: str
    laboratory: str
    n_patients: int
    images_per_class: int
    seed: int


def write_cohort(cohort: Cohort, folder: Path, reporter: Reporter) -> Path:
    """Write the images and the table of a cohort; what is there already is kept.

    Parameters
    ----------
    cohort : Cohort
        What to draw.
    folder : pathlib.Path
        Folder of the cohorts.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    pathlib.Path
        Folder of this cohort, with ``samples.csv``.
    """
    from histograft.imaging.phantom import LABORATORIES, PHANTOM_CLASSES

    laboratory = LABORATORIES[cohort.laboratory]
    out = folder / cohort.name
    rows = [
        (tissue, patient, number)
        for patient in range(cohort.n_patients)
        for tissue in PHANTOM_CLASSES
        for number in range(cohort.images_per_class)
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label", "group", "mpp"])
    with reporter.task(f"{cohort.name}: drawing phantom tissue", len(rows)) as task:
        for tissue, patient, number in rows:
            name = f"{tissue}/patient{patient:02d}-{number}.{_ending(laboratory.jpeg_quality)}"
            writer.writerow([name, tissue, f"patient{patient:02d}", laboratory.native_mpp])
            if not (out / name).exists():
                write_bytes(out / name, _image(cohort, tissue, patient, number))
            task.advance()
    write_bytes(out / "samples.csv", table.getvalue().encode())
    return out


def _ending(jpeg_quality: int | None) -> str:
    return "png" if jpeg_quality is None else "jpg"


def _image(cohort: Cohort, tissue: str, patient: int, number: int) -> bytes:
    import numpy as np
    from PIL import Image

    from histograft.imaging.phantom import LABORATORIES, render_phantom

    laboratory = LABORATORIES[cohort.laboratory]
    patient_seed = child_seed(cohort.seed, "patient", cohort.name, patient)
    rng = np.random.default_rng(
        child_seed(cohort.seed, "image", cohort.name, tissue, patient, number)
    )
    side_px = round(SIDE_UM / laboratory.native_mpp)
    pixels = render_phantom(
        tissue, laboratory, patient_seed, rng, size_px=side_px, mpp=laboratory.native_mpp
    )
    buffer = io.BytesIO()
    if laboratory.jpeg_quality is None:
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=laboratory.jpeg_quality)
    return buffer.getvalue()

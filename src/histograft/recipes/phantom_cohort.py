"""Write a phantom cohort to disk as a user would bring it: images and a samples.csv."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from histograft.core.executor import map_in_order, open_executor
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


@dataclass(frozen=True)
class _Job:
    """One image of a cohort and where it goes."""

    cohort: Cohort
    tissue: str
    patient: int
    number: int
    path: Path


def write_cohort(cohort: Cohort, folder: Path, workers: int | None, reporter: Reporter) -> Path:
    """Write the images and the table of a cohort; what an interrupted run wrote is kept.

    Parameters
    ----------
    cohort : Cohort
        What to draw.
    folder : pathlib.Path
        Folder of the cohorts.
    workers : int or None
        Processes, see `histograft.core.executor.open_executor`.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    pathlib.Path
        Folder of this cohort, with ``samples.csv``.
    """
    from histograft.imaging.phantom import LABORATORIES, PHANTOM_CLASSES

    laboratory = LABORATORIES[cohort.laboratory]
    ending = "png" if laboratory.jpeg_quality is None else "jpg"
    # Images of another seed must not be taken for these.
    out = folder / f"seed-{cohort.seed}" / cohort.name
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label", "group", "mpp"])
    jobs = []
    for patient in range(cohort.n_patients):
        for tissue in PHANTOM_CLASSES:
            for number in range(cohort.images_per_class):
                name = f"{tissue}/patient{patient:02d}-{number}.{ending}"
                group = f"{cohort.name} {patient:02d}"
                writer.writerow([name, tissue, group, laboratory.native_mpp])
                jobs.append(_Job(cohort, tissue, patient, number, out / name))
    with (
        reporter.task(f"{cohort.name}: drawing phantom tissue", len(jobs)) as task,
        open_executor(workers) as executor,
    ):
        for _ in map_in_order(executor, _draw, jobs):
            task.advance()
    write_bytes(out / "samples.csv", table.getvalue().encode())
    return out


def _draw(job: _Job) -> None:
    """Draw an image and write it, unless it is there."""
    if job.path.exists():
        return
    import numpy as np
    from PIL import Image

    from histograft.imaging.phantom import LABORATORIES, render_phantom

    cohort = job.cohort
    laboratory = LABORATORIES[cohort.laboratory]
    patient_seed = child_seed(cohort.seed, "patient", cohort.name, job.patient)
    image_seed = child_seed(cohort.seed, "image", cohort.name, job.tissue, job.patient, job.number)
    pixels = render_phantom(
        job.tissue,
        laboratory,
        patient_seed,
        np.random.default_rng(image_seed),
        size_px=round(SIDE_UM / laboratory.native_mpp),
        mpp=laboratory.native_mpp,
    )
    buffer = io.BytesIO()
    if laboratory.jpeg_quality is None:
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=laboratory.jpeg_quality)
    write_bytes(job.path, buffer.getvalue())

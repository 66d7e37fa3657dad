"""Write phantom slides and molecular tables whose truth is known, as a user would bring them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.executor import map_in_order, open_executor
from histograft.core.files import write_bytes
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed, generator
from histograft.recipes.phantom_truth import known_truth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELD_UM = 96.0
FIELDS_A_SIDE = 3
# As wide as a field, so that tiles of that size show one field each and their truth is known.
GLASS_UM = FIELD_UM
GLASS = 243
LABORATORY = "lab-a"
# Genes follow the share of a tissue, with noise of as many standard deviations of that share.
EXPRESSED = {"TUMOR1": "tumor", "TUMOR2": "tumor", "LYMPH1": "lymphoid", "LYMPH2": "lymphoid"}
SILENT_GENES = ("NOISE1", "NOISE2")
MUTATED = {"TUMORMUT": "tumor"}
UNRELATED = ("NOISEMUT",)
EXPRESSION_NOISE = 0.7
MUTATION_NOISE = 0.5


@dataclass(frozen=True)
class PhantomSlides:
    """Files of a phantom cohort with slides.

    Attributes
    ----------
    slides, mutations, sequenced, expression : pathlib.Path
        Tables as users bring them.
    fields : pathlib.Path
        Table of what is drawn where: slide_id, x0, y0 (level-0 pixels) and tissue.
    truth : str
        What is true of them, for people.
    """

    slides: Path
    mutations: Path
    sequenced: Path
    expression: Path
    fields: Path
    truth: str

    def as_options(self) -> dict[str, Path]:
        """Return the tables by the options of `run ftx` that take them."""
        names = ("slides", "mutations", "sequenced", "expression")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class _Job:
    """One slide and what it shows, field by field."""

    path: Path
    tissues: tuple[str, ...]
    patient: int
    seed: int


def write_slides(
    folder: Path, n_patients: int, seed: int, workers: int | None, reporter: Reporter
) -> PhantomSlides:
    """Write one slide a patient, and tables of expression and mutations that follow its tissue.

    The genes TUMOR1, TUMOR2 and the mutation TUMORMUT follow the share of tumor, LYMPH1 and LYMPH2
    that of lymphoid tissue; NOISE1, NOISE2 and NOISEMUT follow nothing.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; slides of other seeds lie beside them.
    n_patients : int
        Number of patients.
    seed : int
        Root seed.
    workers : int or None
        Processes, see `histograft.core.executor.open_executor`.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    PhantomSlides
    """
    import numpy as np

    out = folder / f"seed-{seed}" / "slides"
    rng = generator(seed, "phantom slides")
    n_fields = FIELDS_A_SIDE**2
    tumor = rng.integers(0, n_fields - 2, n_patients)
    lymphoid = np.array([rng.integers(0, n_fields - t - 1) for t in tumor])
    jobs = []
    for patient, (n_tumor, n_lymphoid) in enumerate(zip(tumor, lymphoid, strict=True)):
        tissues = ["tumor"] * int(n_tumor) + ["lymphoid"] * int(n_lymphoid)
        tissues += ["stroma"] * (n_fields - len(tissues))
        rng.shuffle(tissues)
        jobs.append(_Job(out / f"slide{patient:02d}.tif", tuple(tissues), patient, seed))
    with (
        reporter.task("drawing phantom slides", len(jobs)) as task,
        open_executor(workers) as executor,
    ):
        for _ in map_in_order(executor, _draw, jobs):
            task.advance()
    shares = {"tumor": tumor / n_fields, "lymphoid": lymphoid / n_fields}
    return _write_tables(out, shares, _write_fields(out, jobs), rng)


def _draw(job: _Job) -> None:
    """Draw a slide and write it, unless it is there."""
    if job.path.exists():
        return
    import numpy as np

    from histograft.imaging.phantom import LABORATORIES, render_phantom
    from histograft.imaging.phantom_slide import phantom_slide

    laboratory = LABORATORIES[LABORATORY]
    mpp = laboratory.native_mpp
    side, margin = round(FIELD_UM / mpp), round(GLASS_UM / mpp)
    whole = FIELDS_A_SIDE * side + 2 * margin
    pixels = np.full((whole, whole, 3), GLASS, np.uint8)
    patient_seed = child_seed(job.seed, "patient", "slides", job.patient)
    for field, tissue in enumerate(job.tissues):
        row, column = divmod(field, FIELDS_A_SIDE)
        top, left = margin + row * side, margin + column * side
        rng = np.random.default_rng(child_seed(job.seed, "field", job.patient, field))
        pixels[top : top + side, left : left + side] = render_phantom(
            tissue, laboratory, patient_seed, rng, size_px=side, mpp=mpp
        )
    write_bytes(job.path, phantom_slide(pixels, mpp, vendor="aperio"))


def _write_fields(out: Path, jobs: list[_Job]) -> Path:
    from histograft.imaging.phantom import LABORATORIES

    mpp = LABORATORIES[LABORATORY].native_mpp
    side, margin = round(FIELD_UM / mpp), round(GLASS_UM / mpp)
    rows = [["slide_id", "x0", "y0", "tissue"]]
    for job in jobs:
        for field, tissue in enumerate(job.tissues):
            row, column = divmod(field, FIELDS_A_SIDE)
            x0, y0 = margin + column * side, margin + row * side
            rows.append([job.path.stem, str(x0), str(y0), tissue])
    return _write(out / "fields.csv", rows, ",")


def _write_tables(
    out: Path, shares: dict[str, NDArray[np.float64]], fields: Path, rng: np.random.Generator
) -> PhantomSlides:
    n_patients = len(shares["tumor"])
    patients = [f"patient{patient:02d}" for patient in range(n_patients)]
    scores = {name: (share - share.mean()) / share.std() for name, share in shares.items()}
    noise = rng.normal(size=(len(EXPRESSED) + len(SILENT_GENES), n_patients))
    expression = {
        gene: scores[tissue] + EXPRESSION_NOISE * noise[i]
        for i, (gene, tissue) in enumerate(EXPRESSED.items())
    }
    expression |= {gene: noise[len(EXPRESSED) + i] for i, gene in enumerate(SILENT_GENES)}
    mutated = {
        gene: scores[tissue] + MUTATION_NOISE * rng.normal(size=n_patients) > 0
        for gene, tissue in MUTATED.items()
    }
    mutated |= {gene: rng.permutation(n_patients) < n_patients // 2 for gene in UNRELATED}
    slides = [["slide_id", "file", "patient_id"]]
    slides += [[f"slide{p:02d}", f"slide{p:02d}.tif", name] for p, name in enumerate(patients)]
    matrix = [["sample", *patients]]
    matrix += [[gene, *(f"{value:.4f}" for value in row)] for gene, row in expression.items()]
    maf = [["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]]
    maf += [
        [gene, "Missense_Mutation", patients[p]]
        for gene, row in mutated.items()
        for p in range(n_patients)
        if row[p]
    ]
    return PhantomSlides(
        _write(out / "slides.csv", slides, ","),
        _write(out / "mutations.maf", maf, "\t"),
        _write(out / "sequenced.txt", [[name] for name in patients], "\t"),
        _write(out / "expression.tsv", matrix, "\t"),
        fields,
        known_truth(EXPRESSED | MUTATED, shares, mutated, expression),
    )


def _write(path: Path, rows: list[list[str]], delimiter: str) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    write_bytes(path, text.getvalue().encode())
    return path

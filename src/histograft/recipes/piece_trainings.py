"""The trainings of a ladder side by side, as many at once as memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histograft.core.artefact import open_artefact
from histograft.core.executor import available_cores, available_memory
from histograft.core.reporter import Reporter
from histograft.recipes.side_by_side import Job, run_side_by_side
from histograft.verbs.distill import Distill, distill
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_pairs import Pieces

STAGES = ("teachers and baselines", "students", "fine-tuning")
# A process with its libraries; and what a pixel of a training pass takes: the activations that the
# paper's network keeps for its gradients (about 260), and buffers.
_PROCESS_BYTES, _PIXEL_BYTES = 7e8, 400
_KEPT_BYTES = 2**31  # decoded pieces, see RunOptions.cache_bytes


def stages(trainings: Sequence[Distill], root: Path) -> list[list[Job]]:
    """Sort trainings into those that need none, those that need a teacher, and fine-tuning.

    Parameters
    ----------
    trainings : sequence of Distill
        Of a ladder; the finer scales, which take longest, are to come first.
    root : Path
        Folder of all networks; jobs are called by their path below it.

    Returns
    -------
    list of list of Job
        As `STAGES`; those of one stage do not wait for each other.
    """
    found: list[list[Job]] = [[], [], []]
    for training in trainings:
        stage = 2 if training.init != "random" else int(training.teacher is not None)
        job = Job("distill", training, training.out.relative_to(root).as_posix())
        found[stage].append(job)
    taught_by = {training.teacher for training in trainings}
    found[0].sort(key=lambda job: job.config.out not in taught_by)  # teachers take longest
    return found


def most_at_once(fine: Sequence[Path], batch_size: int, pass_pixels: int) -> int:
    """Return how many trainings fit into half of the memory that may be used, at least 1.

    Two trainings of pieces of 1,024 px in batches of two took 1.90 GB each; 1.73 GB are reckoned.

    Parameters
    ----------
    fine : sequence of Path
        Patches artefacts at the teacher's scale.
    batch_size, pass_pixels : int
        Of the trainings.
    """
    areas = []
    for folder in fine:
        artefact = open_artefact(folder, "patches")
        pieces = Pieces(artefact, load_patches(artefact))
        areas += [h * w for h, w in map(pieces.shape, range(len(pieces)))]
    passed = max(max(areas), min(pass_pixels, batch_size * max(areas)))
    need = _PROCESS_BYTES + _PIXEL_BYTES * passed + min(_KEPT_BYTES, 3 * sum(areas))
    return max(1, int(available_memory() / 2 / need))


def train_all(
    trainings: Sequence[Distill], root: Path, fine: Sequence[Path], workers: int | None,
    reporter: Reporter,
) -> None:  # fmt: skip
    """Run all trainings of a ladder; finished ones are skipped.

    On a CPU several at once, each with one thread, which takes less time than one after another
    with several: small layers do not keep several threads busy. On a GPU, with ``workers=1`` or
    where memory holds only one, one after another.

    Parameters
    ----------
    trainings, root, fine
        See `stages` and `most_at_once`.
    workers : int or None
        Processes; by default one for each core, as far as memory holds them.
    reporter : Reporter
        Whom to tell.

    Raises
    ------
    HistograftError
        A training failed.
    """
    first = trainings[0]
    if workers is None:
        workers = available_cores()
    at_once = min(workers, most_at_once(fine, first.batch_size, first.pass_pixels))
    if at_once <= 1 or _on_gpu(first.device):
        for i, training in enumerate(trainings, start=1):
            name = training.out.relative_to(root).as_posix()
            reporter.note(f"network {i} of {len(trainings)}: {name}")
            distill(training, reporter)
        return
    for jobs, title in zip(stages(trainings, root), STAGES, strict=True):
        run_side_by_side(jobs, title, at_once, "cpu", reporter)


def _on_gpu(device: str) -> bool:
    from histograft.learning.hardware import gpu_is_there

    return device != "cpu" and gpu_is_there()

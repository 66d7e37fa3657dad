"""Steps that do not wait for each other, run side by side in processes."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import as_completed
from contextlib import closing, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from histograft.core.artefact import Artefact
from histograft.core.errors import HistograftError
from histograft.core.executor import available_cores, end_workers, open_executor
from histograft.core.reporter import SILENT, Reporter, SilentReporter, counted

# Warnings of one stage that are shown in full; trainings that diverge give many alike.
MOST_WARNINGS = 8


@dataclass(frozen=True)
class Job:
    """A verb and its configuration.

    Attributes
    ----------
    verb : str
        Name of the verb, as in its module and on the command line.
    config : dataclass
        Its configuration.
    label : str
        What to call it while it runs; the name of its folder by default.
    """

    verb: str
    config: Any
    label: str = ""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.label or str(self.config.out.name)

    @property
    def weight(self) -> int:
        """How much work it is against others of its verb: passes over the training rows."""
        config = self.config
        if self.verb != "transfer" or config.tune == "none":
            return 1
        share = 1 if config.tune == "deep" else 0.3  # the frozen layers run once
        return max(1, int(share * config.epochs * len(config.learning_rates)))

    @property
    def n_trainings(self) -> int:
        """How many trainings it is."""
        if self.verb != "transfer":
            return int(self.verb == "train")
        return 0 if self.config.tune == "none" else len(self.config.learning_rates)

    def run(self, reporter: Reporter = SILENT) -> Artefact:
        """Do it; a finished artefact is opened at once."""
        work = getattr(import_module(f"histograft.verbs.{self.verb}"), self.verb)
        done: Artefact = work(self.config, reporter)
        return done


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its seconds, what it warned of, and its error."""

    seconds: float
    warnings: tuple[str, ...] = ()
    error: HistograftError | None = None


class _WarningsKept(SilentReporter):
    """Keeps what a job warns of: in another process nobody would hear it."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def run_side_by_side(
    jobs: Sequence[Job], title: str, workers: int | None, device: str, reporter: Reporter
) -> None:
    """Run jobs in processes, and tell how many are done and how long the rest will take.

    On a CPU each process computes with one thread, so results do not depend on their number.

    Parameters
    ----------
    jobs : sequence of Job
        What to do; the order does not matter.
    title : str
        What they are together.
    workers : int or None
        Processes; by default one for each core on a CPU, one on a GPU.
    device : str
        auto, cpu or cuda.
    reporter : Reporter
        Whom to tell.

    Raises
    ------
    HistograftError
        Jobs failed; all others are finished.
    """
    if not jobs:
        return
    on_gpu = device != "cpu" and _gpu_is_there()
    if workers is None:
        workers = 1 if on_gpu else min(available_cores(), len(jobs))
    # The longest first: the last ones end together, and the time left is known early.
    ordered = sorted(jobs, key=lambda job: job.weight, reverse=True)
    failed: list[tuple[Job, HistograftError]] = []
    warned: dict[str, str] = {}
    with (
        reporter.task(title, sum(job.weight for job in jobs)) as task,
        closing(_outcomes(ordered, workers, one_thread=not on_gpu)) as outcomes,
    ):
        for job, outcome in outcomes:
            if outcome.error is not None:
                failed.append((job, outcome.error))
                reporter.warn(_named(job.name, outcome.error.problem))
            for text in outcome.warnings:
                warned.setdefault(text, job.name)
            task.advance(job.weight, f"{job.name} ({outcome.seconds:.0f} s)")
    for text, name in list(warned.items())[:MOST_WARNINGS]:
        reporter.warn(_named(name, text))
    if len(warned) > MOST_WARNINGS:
        reporter.warn(f"{title}: {counted(len(warned) - MOST_WARNINGS, 'further warning')}")
    if failed:
        job, error = failed[0]
        raise HistograftError(
            f"{len(failed)} of {len(jobs)} steps failed; the first is "
            f"{_named(job.name, error.problem)}",
            error.fix,
        )


def tell_plan(stages: Sequence[Sequence[Job]], titles: Sequence[str], reporter: Reporter) -> None:
    """Say how much there is to do before it begins."""
    parts = [f"{len(jobs)} {title}" for jobs, title in zip(stages, titles, strict=True) if jobs]
    n_trainings = sum(job.n_trainings for jobs in stages for job in jobs)
    reporter.note(
        f"{', then '.join(parts)}: {counted(n_trainings, 'training')} in all; --print-commands "
        "lists them"
    )


def _named(name: str, text: str) -> str:
    """Say whose message it is, where it does not begin with that."""
    return text if text.startswith(f"{name}:") else f"{name}: {text}"


def _outcomes(
    jobs: Sequence[Job], workers: int, *, one_thread: bool
) -> Generator[tuple[Job, Outcome], None, None]:
    """Give each job as soon as it is done."""
    with open_executor(workers) as executor:
        if workers <= 1:  # submitting is doing there
            for job in jobs:
                yield job, executor.submit(_run, job, one_thread=one_thread).result()
            return
        running = {executor.submit(_run, job, one_thread=one_thread): job for job in jobs}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            end_workers(executor)  # they resume where they were
            raise


def _run(job: Job, *, one_thread: bool) -> Outcome:
    begun = time.perf_counter()
    from histograft.learning.hardware import one_thread as limited

    told, failed = _WarningsKept(), None
    try:
        with limited() if one_thread else nullcontext():
            job.run(told)
    except HistograftError as error:
        failed = error
    return Outcome(time.perf_counter() - begun, tuple(told.warnings), failed)


def _gpu_is_there() -> bool:
    from histograft.learning.hardware import gpu_is_there

    return gpu_is_there()

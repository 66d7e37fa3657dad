"""Steps that do not wait for each other, run side by side in processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from histograft.core.artefact import Artefact
from histograft.core.errors import HistograftError
from histograft.core.executor import available_cores, end_workers, open_executor
from histograft.core.reporter import SILENT, Reporter


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

    def run(self) -> Artefact:
        """Do it; a finished artefact is opened at once."""
        work = getattr(import_module(f"histograft.verbs.{self.verb}"), self.verb)
        done: Artefact = work(self.config, SILENT)
        return done


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its seconds, or its error."""

    seconds: float
    error: HistograftError | None = None


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
    failed: list[tuple[Job, HistograftError]] = []
    with (
        reporter.task(title, sum(job.weight for job in jobs)) as task,
        open_executor(workers) as executor,
    ):
        running = {executor.submit(_run, job, one_thread=not on_gpu): job for job in jobs}
        try:
            for future in as_completed(running):
                job, outcome = running[future], future.result()
                if outcome.error is not None:
                    failed.append((job, outcome.error))
                    reporter.warn(f"{job.name}: {outcome.error.problem}")
                task.advance(job.weight, f"{job.name} ({outcome.seconds:.0f} s)")
        except BaseException:
            end_workers(executor)  # they resume where they were
            raise
    if failed:
        job, error = failed[0]
        raise HistograftError(
            f"{len(failed)} of {len(jobs)} steps failed; the first is {job.name}: {error.problem}",
            error.fix,
        )


def _run(job: Job, *, one_thread: bool) -> Outcome:
    begun = time.perf_counter()
    from histograft.learning.hardware import one_thread as limited

    try:
        with limited() if one_thread else nullcontext():
            job.run()
    except HistograftError as error:
        return Outcome(time.perf_counter() - begun, error)
    return Outcome(time.perf_counter() - begun)


def _gpu_is_there() -> bool:
    from histograft.learning.hardware import gpu_is_there

    return gpu_is_there()

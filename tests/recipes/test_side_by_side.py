"""Jobs side by side: all are tried, the first error is told, their number does not matter."""

from __future__ import annotations

import pytest

from histograft.core.errors import HistograftError
from histograft.core.reporter import SILENT, SilentReporter
from histograft.recipes.side_by_side import Job, run_side_by_side, tell_plan
from histograft.verbs.standardize import Standardize
from histograft.verbs.transfer import Transfer


@pytest.fixture
def jobs(tools, tmp_path):
    return [
        Job(
            "standardize",
            Standardize(
                samples=tools.write_set(tmp_path / name, groups=4),
                out=tmp_path / "out" / name,
                target_mpp=1.0,
                patch_px=32,
                workers=1,
            ),
        )
        for name in ("a", "b")
    ]


def made(jobs):
    return [(job.config.out / "manifest.json").is_file() for job in jobs]


@pytest.mark.parametrize("workers", [1, 2])
def test_all_jobs_are_done(jobs, workers):
    run_side_by_side(jobs, "sets", workers, "cpu", SILENT)
    assert all(made(jobs))


def test_a_failed_job_does_not_keep_others_from_their_work(jobs, tmp_path):
    missing = Job("standardize", Standardize(samples=tmp_path / "no", out=tmp_path / "out" / "c"))
    with pytest.raises(HistograftError, match="1 of 3 steps failed; the first is c"):
        run_side_by_side([missing, *jobs], "sets", 1, "cpu", SILENT)
    assert all(made(jobs))


def test_nothing_to_do_is_done():
    run_side_by_side([], "sets", None, "cpu", SILENT)


class Listener(SilentReporter):
    """Keeps what it hears, in order."""

    def __init__(self):
        self.heard = []

    def advance(self, steps=1, note=""):
        self.heard.append(note.split(" (")[0])

    def warn(self, text):
        self.heard.append(text)


def test_progress_of_one_worker_comes_while_it_works(jobs):
    """The time left is told from the first job on, and not after the last."""
    listener = Listener()
    listener.advance = lambda steps, note="": listener.heard.append(made(jobs))
    run_side_by_side(jobs, "sets", 1, "cpu", listener)
    assert listener.heard == [[True, False], [True, True]]


def test_what_jobs_warn_of_is_heard_once_each_and_in_number(tmp_path, monkeypatch):
    from histograft.verbs import standardize as module

    def warns(config, reporter):
        reporter.warn("no scale")
        reporter.warn(f"{config.out.name}: rejected")  # names itself, as sets do

    monkeypatch.setattr(module, "standardize", warns)
    jobs = [
        Job("standardize", Standardize(samples=tmp_path, out=tmp_path / str(number)))
        for number in range(9)
    ]
    listener = Listener()
    run_side_by_side(jobs, "sets", 1, "cpu", listener)
    told = listener.heard[9:]
    assert told[:2] == ["0: no scale", "0: rejected"]
    assert len(told) == 9
    assert told[-1] == "sets: 2 further warnings"


def test_how_much_there_is_to_do_is_told_before(tmp_path):
    def cell(tune):
        rates = (1e-3, 1e-4)
        config = Transfer(
            patches=tmp_path, out=tmp_path, init="random", tune=tune, learning_rates=rates
        )
        return Job("transfer", config)

    listener = Listener()
    listener.note = listener.warn
    stages = ([], [cell("deep"), cell("fine"), cell("none")])
    tell_plan(stages, ("data sets", "transfers"), listener)
    assert listener.heard == ["3 transfers: 4 trainings in all; --print-commands lists them"]

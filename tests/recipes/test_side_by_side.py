"""Jobs side by side: all are tried, the first error is told, their number does not matter."""

from __future__ import annotations

import pytest

from histograft.core.errors import HistograftError
from histograft.core.reporter import SILENT
from histograft.recipes.side_by_side import Job, run_side_by_side
from histograft.verbs.standardize import Standardize


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

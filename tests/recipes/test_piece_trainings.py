"""Which trainings of a ladder run side by side."""

import numpy as np
import pandas as pd
import pytest

from histograft.core.executor import available_cores
from histograft.core.reporter import SILENT
from histograft.recipes import piece_trainings
from histograft.recipes.piece_trainings import most_at_once, stages, train_all
from histograft.verbs.distill import Distill


def of_seed(root, seed):
    """The trainings of one scale, in the order in which commands are printed."""
    at = root / f"seed-{seed}"
    fine, pieces, teacher = root / "1", root / "2", at / "teacher"
    pair = {"teacher": teacher, "fine": fine, "seed": seed}
    return [
        Distill(fine, out=teacher, seed=seed),
        Distill(pieces, out=at / "2" / "baseline", seed=seed),
        Distill(pieces, out=at / "2" / "kd", **pair),
        Distill(pieces, out=at / "2" / "kd-tuned", init=str(at / "2" / "kd"), tune="head"),
    ]


def test_nothing_starts_before_what_it_needs(tmp_path):
    trainings = of_seed(tmp_path, 0) + of_seed(tmp_path, 1)
    names = [[job.name for job in jobs] for jobs in stages(trainings, tmp_path)]
    assert names == [
        ["seed-0/teacher", "seed-1/teacher", "seed-0/2/baseline", "seed-1/2/baseline"],
        ["seed-0/2/kd", "seed-1/2/kd"],
        ["seed-0/2/kd-tuned", "seed-1/2/kd-tuned"],
    ]


@pytest.fixture
def one_large_piece(monkeypatch):
    """A machine of 64 GB, and two pieces of 1,000 × 2,000 px."""

    class TwoPieces:
        def __init__(self, *_):
            pass

        def __len__(self):
            return 2

        def shape(self, _):
            return 1000, 2000

    monkeypatch.setattr(piece_trainings, "open_artefact", lambda *_: None)
    monkeypatch.setattr(piece_trainings, "load_patches", lambda _: pd.DataFrame())
    monkeypatch.setattr(piece_trainings, "Pieces", TwoPieces)
    monkeypatch.setattr(piece_trainings, "available_memory", lambda: 64e9)


def test_memory_bounds_how_many(one_large_piece, tmp_path, monkeypatch):
    # 0.7 GB for a process, 400 bytes for each pixel of a pass, 3 for each that is kept
    for batch_size, pass_pixels, passed in ((1, 2**22, 2e6), (9, 2**22, 2**22), (9, 0, 2e6)):
        need = 0.7e9 + 400 * passed + 3 * 4e6
        assert most_at_once([tmp_path], batch_size, pass_pixels) == np.floor(32e9 / need)
    monkeypatch.setattr(piece_trainings, "available_memory", lambda: 1e9)
    assert most_at_once([tmp_path], 1, 0) == 1


@pytest.mark.parametrize(("workers", "expected"), [(1, 0), (3, 3), (None, available_cores())])
def test_one_worker_trains_here(one_large_piece, tmp_path, monkeypatch, workers, expected):
    here, beside = [], []
    monkeypatch.setattr(piece_trainings, "distill", lambda config, _: here.append(config))
    monkeypatch.setattr(piece_trainings, "_on_gpu", lambda _: False)
    monkeypatch.setattr(
        piece_trainings,
        "run_side_by_side",
        lambda jobs, title, n, *_: beside.append((len(jobs), title, n)),
    )
    trainings = of_seed(tmp_path, 0)
    train_all(trainings, tmp_path, [tmp_path / "1"], workers, SILENT)
    if expected > 1:
        n = min(expected, most_at_once([tmp_path], 32, 2**22))
        titles = piece_trainings.STAGES
        assert beside == [(2, titles[0], n), (1, titles[1], n), (1, titles[2], n)]
        assert not here
    else:
        assert here == trainings
        assert not beside

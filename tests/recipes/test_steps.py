"""Commands of a recipe, as a shell reads them where the recipe was run."""

from __future__ import annotations

from pathlib import Path

from histograft.recipes.steps import command_line
from histograft.verbs.pool import Pool


def test_paths_work_where_the_recipe_was_run_and_tell_no_place(tmp_path, monkeypatch):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here / "data", elsewhere / "run"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    for given, shown in (
        (Path("data/a b"), "'data/a b'"),
        (here / "data/x", "data/x"),
        (Path("../elsewhere/x"), "../elsewhere/x"),
        (elsewhere / "x", "x"),
        (elsewhere / "run/slides", "run/slides"),
    ):
        command = command_line("pool", Pool(features=given, out=Path("out")), elsewhere / "run")
        assert command == f"histograft pool --features {shown} --out out"

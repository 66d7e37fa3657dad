"""The demo says what it is, and its printed commands are what made it."""

import dataclasses
import inspect
import shlex
import shutil

import pandas as pd
import pytest

from histograft.core.artefact import open_artefact
from histograft.core.verify import verify
from histograft.recipes.demo import Demo, demo
from histograft.recipes.ftx import ftx
from histograft.recipes.phantom_check import right_tiles


def test_too_few_patients_are_refused_before_the_work(tmp_path, tools):
    outcome = tools.run("demo", "--out", tmp_path / "out", "--patients", 4)
    assert outcome.code == 2
    assert "--patients is 4" in outcome.err
    assert not (tmp_path / "out").exists()


def shorter(config, reporter, **options):
    return ftx(dataclasses.replace(config, epochs_head=1, epochs_all=1), reporter, **options)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Report of a small demo, whose network is tuned for one epoch a step."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.getmodule(demo), "ftx", shorter)
        return demo(Demo(out=out, patients=5, slides=0, repeats=2, workers=1, device="cpu"))


@pytest.mark.slow
def test_the_report_says_what_the_data_are(page):
    text = page.read_text()
    assert page.name == "index.html"
    assert "The images are synthetic" in text
    assert "No ImageNet weights are in this run" in text
    assert "START: random weights" in text
    assert ">IMGNET" not in text
    results = pd.read_csv(page.with_name("results.csv"))
    assert {"lab-a-new-patients", "lab-b"} == set(results["dataset"])
    assert {"imgnet-gap", "ftx-dense", "shortcut-jpeg"} <= set(results["model"])
    run = page.parents[1]
    assert all(not result.findings for result in verify(run))
    for path in run.rglob("*"):
        if path.suffix in (".json", ".html", ".csv"):
            assert str(run) not in path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_terminal_has_progress_warnings_and_the_answer(page, tools, tmp_path):
    """Run again, when all is there: what steps say lies in the log, tables among it."""
    copy = tmp_path / page.parents[1].name
    shutil.copytree(page.parents[1], copy)
    words = ("demo", "--out", copy, "--patients", 5, "--slides", 0, "--repeats", 2, "--workers", 1)
    log = (copy / "log.txt").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.getmodule(demo), "ftx", shorter)
        brief = tools.ok(*words, "--device", "cpu")
        whole = tools.ok(*words, "--device", "cpu", "--verbose")
    assert "TUNED (dense features) against START" in brief.err
    assert "- lab-b, cross-validation: " in brief.err
    assert "warning: The images are synthetic" in brief.err
    assert f"what every step said is in {copy / 'log.txt'}" in brief.err.replace("\n", "")
    assert len(brief.err.splitlines()) < len(whole.err.splitlines())
    assert "lab-b, cross-validation: accuracy, 5 groups resampled" in log
    assert "lab-b, cross-validation: accuracy, 5 groups resampled" not in brief.err
    assert "warning: The images are synthetic" in log


@pytest.mark.slow
def test_its_commands_run_in_its_folder(page, tools, tmp_path, monkeypatch):
    copy = tmp_path / page.parents[1].name
    shutil.copytree(page.parents[1], copy)
    remade = ["patches/lab-b", "features/lab-b/shortcut", "predictions/lab-b-cv", "tables"]
    expected = {name: open_artefact(copy / name).id for name in remade}
    for name in remade:
        shutil.rmtree(copy / name)
    monkeypatch.chdir(tmp_path)
    for line in open_artefact(copy / "report").manifest["execution"]["commands"]:
        words = shlex.split(line)[1:]
        if words[0] in ("run", "demo"):  # the whole, told beside its steps
            continue
        tools.ok(*words)
    assert {name: open_artefact(copy / name).id for name in remade} == expected


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute of processor time
def test_slides_of_the_demo_show_the_tissue_that_was_drawn(page, tmp_path):
    """The demo with fewer patients, one laboratory and one repeat, and with its slides.

    Images of the smaller demo are those of its patients here too: they are not drawn again.
    """

    def shorter(config, reporter, **options):
        config = dataclasses.replace(config, evaluate=config.evaluate[:1])
        return ftx(config, reporter, **options)

    out = tmp_path / "out"
    shutil.copytree(page.parents[1] / "data", out / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect.getmodule(demo), "ftx", shorter)
        page = demo(Demo(out=out, patients=8, slides=20, repeats=1, workers=1, device="cpu"))
    n_right, n_tiles = right_tiles(out / "tissue", next((out / "data").rglob("fields.csv")))
    assert n_tiles == 20 * 9  # all that was drawn, three by three fields a slide
    assert n_right >= 0.9 * n_tiles
    text = page.read_text(encoding="utf-8")
    assert "TUMORMUT, TUMOR1 and TUMOR2 follow the share of tumor" in text
    assert "LYMPH1 and LYMPH2 follow the share of lymphoid" in text
    assert "NOISEMUT, NOISE1 and NOISE2 follow nothing" in text
    results = pd.read_csv(page.with_name("results.csv"))
    tuned = results[(results["model"] == "ftx-dense") & (results["metric"] == "pearson")]
    r = tuned.set_index("target")["value"]
    follow, nothing = r[["TUMOR1", "TUMOR2", "LYMPH1", "LYMPH2"]], r[["NOISE1", "NOISE2"]]
    assert follow.mean() > 0.2 > nothing.mean()  # 20 patients: no single gene shows it

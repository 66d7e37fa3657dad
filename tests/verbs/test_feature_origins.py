"""How features were made goes with them to patients, and is compared between cohorts."""

import json

import h5py
import numpy as np
import pytest

from histograft.core.artefact import make_once
from histograft.core.identity import Identity, Input
from histograft.core.reporter import SILENT
from histograft.verbs.feature_origins import Origin, tell_unlike
from histograft.verbs.slide_embedding import slide_folder
from histograft.verbs.slide_list import Outcome, write_list

N = 12
HERE = {"network": "a" * 64, "mpp_target": 0.5, "stain": "none"}
QUICK = ("--transform", "none", "--workers", 1, "--folds", 2, "--repeats", 1)


@pytest.fixture
def cohort(tmp_path, tools):
    """A function that pools a made-up cohort whose slides state how they were embedded."""

    def work(name, site, stated=HERE, of_last=None, words=()):
        out, slides, outcomes = tmp_path / name / "slides", [], []
        for i in range(N):
            slide = f"TCGA-{site}-{i:04d}-01Z-00-DX1"
            of_it = of_last if of_last and i == N - 1 else stated
            slides.append(write_slide(out, slide, i, of_it))
            outcomes.append(Outcome(slide, slide[:12], "done", "", slides[-1].facts))
        write_list(
            outcomes,
            slides,
            Input("network", "weights", "0" * 64, "net"),
            out,
            SILENT,
            keep_going=False,
        )
        outcome = tools.run("pool", out, *words, "--out", tmp_path / name / "patients")
        return tmp_path / name / "patients", " ".join(outcome.err.split())

    return work


def write_slide(out, slide, number, stated):
    def fill(draft):
        with draft.writing("net-gap.h5") as path, h5py.File(path, "w") as file:
            file["features"] = np.float32([[number, number % 3], [number, 1]])
            file["features"].attrs.update({f"histo_{k}": v for k, v in stated.items()})
            file["coords"] = np.array([[0, 0], [448, 0]])
        return draft.finish(
            {"unit": "tile", "models": ["net-gap"], "n_tiles": 2, "slide_id": slide,
             "tissue_mm2": 1.0}
        )  # fmt: skip

    return make_once(slide_folder(out, slide), Identity("features", "embed", 1, {"s": slide}), fill)


@pytest.fixture
def expression(tmp_path):
    """Values of the patients of both sites."""
    names = [f"TCGA-{site}-{i:04d}" for site in ("05", "44") for i in range(N)]
    rows = [f"{name},{i % N}.5,{i % 4}" for i, name in enumerate(names)]
    path = tmp_path / "expression.csv"
    path.write_text("\n".join(["patient_id,KRAS,TP53", *rows]) + "\n")
    return path


def facts_of(out):
    return json.loads((out / "manifest.json").read_text())["facts"]


def test_pool_states_how_features_were_made(cohort):
    out, _ = cohort("a", "05", words=("--slide-kind", "diagnostic", "--sample-types", "01", "06"))
    with h5py.File(out / "net-gap.h5") as file:
        stated = dict(file["features"].attrs)
    assert {name: stated[f"histo_{name}"] for name in HERE} == HERE
    assert (stated["histo_weighting"], stated["histo_slide_kind"]) == ("tiles", "diagnostic")
    assert json.loads(stated["histo_sample_types"]) == ["01", "06"]
    assert facts_of(out)["made_by"]["net-gap"].items() >= HERE.items()
    assert facts_of(out)["sample_types"] == ["01", "06"]


def test_slides_of_two_networks_are_not_pooled(cohort):
    out, said = cohort("a", "05", of_last=HERE | {"network": "b" * 64})
    assert "embedded by 2 networks (aaaaaaaaaaaa, bbbbbbbbbbbb)" in said
    assert not (out / "manifest.json").exists()
    out, said = cohort("b", "05", of_last=HERE | {"stain": "macenko"})
    assert "slides differ in stain normalization (macenko, none)" in said
    assert facts_of(out)["made_by"]["net-gap"]["stain"] == "several"


def test_another_network_of_the_same_name_is_refused(cohort, expression, tools, tmp_path):
    here, _ = cohort("a", "05")
    there, _ = cohort("b", "44", HERE | {"network": "b" * 64})
    outcome = tools.run(
        "predict", "--features", here, "--fit-on", there, "--expression", expression, *QUICK,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 1
    assert "are of two networks of this name (aaaaaaaaaaaa, bbbbbbbbbbbb)" in " ".join(
        outcome.err.split()
    )


@pytest.mark.parametrize(
    ("stated", "words", "warning"),
    [
        (HERE, (), None),
        (HERE | {"mpp_target": 0.25}, (), "µm/px of --features is 0.5, of --fit-on 0.25"),
        (
            HERE | {"stain": "macenko"},
            (),
            "stain normalization of --features is none, of --fit-on macenko",
        ),
        (HERE, ("--weighting", "slides"), "weighting of tiles of --features is tiles, of --fit-on"),
        ({}, (), "--fit-on does not state its network"),
    ],
)
def test_cohorts_embedded_otherwise_are_warned_of(
    cohort, expression, tools, tmp_path, stated, words, warning
):
    here, _ = cohort("a", "05")
    there, _ = cohort("b", "44", stated, words=words)
    outcome = tools.run(
        "predict", "--features", here, "--fit-on", there, "--expression", expression, *QUICK,
        "--out", tmp_path / "out",
    )  # fmt: skip
    said = " ".join(outcome.err.split())
    assert outcome.code == 0, said
    notes = " ".join(facts_of(tmp_path / "out")["notes"])
    if warning is None:
        assert "net-gap" not in notes
    else:
        assert warning in said
        assert warning in notes


def test_one_normalization_with_other_constants_is_another():
    usual = {"histo_network": "a", "histo_stain": "macenko-tile", "histo_stain_io": 240.0}
    here, there = (Origin.read(usual | {"histo_stain_io": io}) for io in (240.0, 255.0))
    (said,) = tell_unlike({"net": here}, {"net": there}, ["net"])
    assert said == "net: Io of the stain normalization of --features is 240, of --fit-on 255"


def test_other_sample_types_than_those_of_features_are_warned_of(
    cohort, expression, tools, tmp_path
):
    here, _ = cohort("a", "05", words=("--sample-types", "01", "11"))
    outcome = tools.run(
        "predict", "--features", here, "--expression", expression, *QUICK, "--out", tmp_path / "out"
    )
    assert outcome.code == 0
    warning = "net-gap: features are of the sample types 01 11, molecular values of 01"
    assert warning in " ".join(outcome.err.split())
    assert warning in facts_of(tmp_path / "out")["notes"]
    fits = ("--sample-types", "11", "01", "--out", tmp_path / "alike")
    alike = tools.ok("predict", "--features", here, "--expression", expression, *QUICK, *fits)
    assert "sample types" not in alike.err

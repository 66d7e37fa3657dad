"""`histograft run ftx` with slides and molecular tables: experiments 2 and 3."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.tables import RESULTS
from histograft.imaging.phantom_slide import phantom_slide

N_PATIENTS = 24
NETWORK = (
    "--arch", "resnet10t", "--weights", "random", "--hidden", 8, "--epochs-head", 1,
    "--epochs-all", 1, "--batch-size", 16,
)  # fmt: skip
SMALL = (
    "--target-mpp", 1, "--patch-px", 64, "--folds", 3, "--repeats", 2, "--draws", 200,
    "--workers", 1, "--device", "cpu",
)  # fmt: skip


def tissue(rng, color, side=320):
    """Blobs of one color, uint8 (side, side, 3)."""
    blobs = Image.fromarray(rng.integers(140, 256, (9, 9), dtype=np.uint8))
    shade = np.asarray(blobs.resize((side, side), Image.Resampling.BICUBIC)) / 255
    pixels = shade[..., None] * np.asarray(color) + rng.normal(0, 4, (side, side, 3))
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory, tools):
    """Patches, and patients whose slide is darker the higher the gene DARK and the mutation."""
    folder = tmp_path_factory.mktemp("slides")
    tools.write_set(folder / "tuned", groups=20)
    rng = np.random.default_rng(0)
    dark = rng.permutation(np.linspace(-1, 1, N_PATIENTS))
    rows, maf, matrix = [], [], {"DARK": dark, "NOISE": rng.normal(size=N_PATIENTS)}
    for patient, value in enumerate(dark):
        pixels = tissue(rng, (205 - 55 * value, 110, 160))
        (folder / f"s{patient}.tif").write_bytes(phantom_slide(pixels, 1.0))
        name = f"p{patient}"
        rows.append({"slide_id": f"s{patient}", "file": f"s{patient}.tif", "patient_id": name})
        maf += [["SHADE", "Missense_Mutation", name]] if value > 0 else []
        maf += [["NOISE", "Missense_Mutation", name]] if patient % 2 else []
    (folder / "broken.tif").write_bytes(b"")
    rows.append({"slide_id": "broken", "file": "broken.tif", "patient_id": "p99"})
    pd.DataFrame(rows).to_csv(folder / "slides.csv", index=False)
    columns = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]
    pd.DataFrame(maf, columns=columns).to_csv(folder / "study.maf", sep="\t", index=False)
    patients = [row["patient_id"] for row in rows]
    (folder / "sequenced.txt").write_text("\n".join(patients) + "\n")
    table = pd.DataFrame(matrix, index=patients[:N_PATIENTS]).T
    table.rename_axis("sample").to_csv(folder / "expression.tsv", sep="\t")
    return folder


def command(folder, *words):
    return (
        "run", "ftx", "--finetune", folder / "tuned", "--evaluate", folder / "tuned",
        "--out", folder / "run", "--slides", folder / "slides.csv", "--genes", "all",
        "--mutations", folder / "study.maf", "--sequenced", folder / "sequenced.txt",
        "--expression", folder / "expression.tsv", *NETWORK, *SMALL, *words,
    )  # fmt: skip


def test_molecules_are_predicted_from_slides(files, tools):
    stopped = tools.run(*command(files))
    assert stopped.code == 1
    assert "1 of 25 slides failed, such as broken" in stopped.err
    outcome = tools.ok(*command(files, "--keep-going"))
    assert outcome.out.strip() == str(files / "run/report/index.html")
    results = RESULTS.check(pd.read_csv(files / "run/report/results.csv"), "results.csv")
    molecular = results[results["ci_unit"] == "patient"]
    assert set(molecular["model"]) == {"imgnet-gap", "imgnet-dense", "ftx-dense"}
    assert set(molecular["n_units"]) == {N_PATIENTS}
    value = molecular.set_index(["target", "model", "metric"])["value"]
    for model in ("imgnet-gap", "ftx-dense"):
        assert value["DARK", model, "pearson"] > 0.5
        assert value["SHADE", model, "auc"] > 0.8
        assert abs(value["NOISE", model, "pearson"]) < 0.6
    tissue = results[results["ci_unit"] != "patient"]
    assert "accuracy" in set(tissue["metric"])
    page = (files / "run/report/index.html").read_text()
    assert "Mutations of 24 patients" in page
    assert "Expression of 2 genes in 24 patients" in page
    commands = open_artefact(files / "run/report").manifest["execution"]["commands"]
    assert any(line.startswith("histograft pool") for line in commands)
    # Fig. 7, and what the tuned network says of the tissue.
    assert "What stands for a slide" in page
    assert "Tissue on the slides" in page
    tissue = files / "run/tissue"
    assert len(list((tissue / "qupath").glob("*.geojson"))) == N_PATIENTS
    shares = pd.read_csv(tissue / "class_shares.csv").groupby("slide_id")["share"].sum()
    np.testing.assert_allclose(shares, np.ones(N_PATIENTS), atol=1e-5)
    said = " ".join(outcome.err.split())
    for end in (tissue / "qupath", files / "run/network/README.md"):
        assert end.exists()
        assert str(end) in said.replace("- ", "-")
    assert tools.run("verify", files / "run").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--slides", "slides.csv"), "predict nothing"),
        (("--mutations", "study.maf"), "need slides"),
        (("--slides", "slides.csv", "--mutations", "none.maf"), "none.maf does not exist"),
        (("--slides", "none.csv", "--mutations", "study.maf"), "none.csv does not exist"),
        (
            ("--slides", "slides.csv", "--mutations", "study.maf", "--genes", "NO_LIST"),
            "no file and no known list",
        ),
    ],
)
def test_what_is_missing_is_said_before_any_work(files, tools, tmp_path, words, message):
    given = [files / word if "." in word else word for word in words]
    outcome = tools.run(
        "run", "ftx", "--finetune", files / "tuned", "--evaluate", files / "tuned", "--out",
        tmp_path / "run", *NETWORK, *SMALL, *given,
    )  # fmt: skip
    assert outcome.code in (1, 2)
    assert message in outcome.err
    assert not (tmp_path / "run").exists()

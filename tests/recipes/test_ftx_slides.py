"""`histograft run ftx` with slides and molecular tables: experiments 2 and 3."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.core.tables import RESULTS
from histograft.imaging.phantom_slide import phantom_slide
from histograft.molecular.genes import LUAD_NINE
from histograft.recipes.ftx import PRESETS, Ftx
from histograft.recipes.molecular_check import check_molecular, embed_config, prediction_configs
from histograft.verbs.molecular_targets import read_targets
from histograft.verbs.predict import tables_of

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
    (folder / "whose.tif").write_bytes(phantom_slide(tissue(rng, (205, 110, 160)), 1.0))
    rows.append({"slide_id": "whose", "file": "whose.tif", "patient_id": None})
    maf += [["SHADE", "Missense_Mutation", "noslide"]]
    pd.DataFrame(rows).to_csv(folder / "slides.csv", index=False)
    columns = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]
    pd.DataFrame(maf, columns=columns).to_csv(folder / "study.maf", sep="\t", index=False)
    patients = [row["patient_id"] for row in rows if row["patient_id"]] + ["noslide"]
    (folder / "sequenced.txt").write_text("\n".join(patients) + "\n")
    table = pd.DataFrame(matrix, index=patients[:N_PATIENTS]).T.assign(noslide=0.0)
    table.rename_axis("sample").to_csv(folder / "expression.tsv", sep="\t")
    return folder


def command(folder, *words):
    return (
        "run", "ftx", "--finetune", folder / "tuned", "--evaluate", folder / "tuned",
        "--out", folder / "run", "--slides", folder / "slides.csv", "--genes", "all",
        "--slide-mpp", 1.25,
        "--mutations", folder / "study.maf", "--sequenced", folder / "sequenced.txt",
        "--expression", folder / "expression.tsv", *NETWORK, *SMALL, *words,
    )  # fmt: skip


def test_molecules_are_predicted_from_slides(files, tools):
    stopped = tools.run(*command(files))
    assert stopped.code == 1
    assert "1 of 26 slides cannot be used, such as broken" in " ".join(stopped.err.split())
    assert "1 of 26 slides failed, such as broken" in stopped.err
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
    assert len(list((tissue / "qupath").glob("*.geojson"))) == N_PATIENTS + 1
    shares = pd.read_csv(tissue / "class_shares.csv").groupby("slide_id")["share"].sum()
    np.testing.assert_allclose(shares, np.ones(N_PATIENTS + 1), atol=1e-5)
    said = " ".join(outcome.err.split())
    for end in (tissue / "qupath", files / "run/network/README.md"):
        assert end.exists()
        assert str(end) in said.replace("- ", "-")
    assert said.count("give --stain none") == 1  # patches were not normalized
    # --slide-mpp is for slides alone.
    config = open_artefact(files / "run/slides/ftx/slides/s0").manifest["config"]
    assert config["target_mpp"] == 1.25
    assert open_artefact(files / "run/patches/tuned").manifest["config"]["target_mpp"] == 1
    # Whoever lacks a slide, tissue or molecules is counted.
    for target in ("mutation", "expression"):
        drops = pd.read_csv(files / f"run/predictions/{target}/drops.csv").set_index("name")
        assert drops.loc["noslide", "reason"] == "no-features"
        assert "whose" not in drops.index
    assert "whose" in set(pd.read_csv(files / "run/patients/ftx/drops.csv")["name"])
    assert tools.run("verify", files / "run").code == 0


ENDINGS = (".csv", ".maf", ".tsv")
MAF_ONLY = ("--slides", "slides.csv", "--mutations")
STUDY = (*MAF_ONLY, "study.maf")
TABLE_ONLY = ("--slides", "slides.csv", "--expression")


def write_bad_tables(folder):
    """Tables that can be opened and hashed, but not be used."""
    maf = (folder / "study.maf").read_text()
    header, _, rows = maf.partition("\n")
    (folder / "headless.maf").write_text(rows)
    (folder / "strangers.maf").write_text(maf.replace("\tp", "\tq").replace("noslide", "q"))
    few = [f"A\t{name}\tp{i}" for i, name in enumerate(2 * ["Missense_Mutation"] + 9 * ["Silent"])]
    (folder / "rare.maf").write_text("\n".join([header, *few]) + "\n")
    patients = [f"p{number}" for number in range(N_PATIENTS)]
    values = np.random.default_rng(0).uniform(1, 9, (N_PATIENTS, 2))
    table = pd.DataFrame(values, index=patients, columns=["A", "B"]).T.rename_axis("sample")
    table.to_csv(folder / "scale.tsv", sep="\t")
    table.rename(columns=lambda name: f"x{name}").to_csv(folder / "sides.tsv", sep="\t")
    (table * 0 + 2).to_csv(folder / "constant.tsv", sep="\t")
    slides = pd.read_csv(folder / "slides.csv").drop(columns="patient_id")
    slides.to_csv(folder / "nobody.csv", index=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--slides", "slides.csv"), "predict nothing"),
        (("--mutations", "study.maf"), "need slides"),
        (("--slides", "slides.csv", "--mutations", "none.maf"), "none.maf does not exist"),
        (("--slides", "none.csv", "--mutations", "study.maf"), "none.csv does not exist"),
        ((*STUDY, "--genes", "NO_LIST"), "no file and no known list"),
        ((*STUDY, "--n-genes", "9"), "--n-genes is for --expression"),
        ((*STUDY, "--transform", "none"), "--transform is for --expression"),
        ((*STUDY, "--orientation", "genes-in-rows"), "--orientation is for --expression"),
        (
            (*TABLE_ONLY, "expression.tsv", "--variant-classes", "any"),
            "--variant-classes is for --mutations",
        ),
        ((*STUDY, "--stain-reference", "none.json"), "none.json is not there"),
        ((*STUDY, "--stain-reference", "a.png", "--stain", "none"), "no stain is normalized"),
        (("--stain-reference", "a.png"), "--stain-reference is for --slides"),
        ((*STUDY, "--target-mpp", "keep"), "--slide-mpp"),
        ((*STUDY, "--slide-mpp", "-1"), "--slide-mpp"),
        ((*STUDY, "--slide-mpp", "0.25"), "give --slide-mpp 1 or more, or --upsample-slides allow"),
        # What only the reading of tables and patients tells.
        ((*MAF_ONLY, "headless.maf"), "has no header"),
        ((*MAF_ONLY, "strangers.maf", "--genes", "all"), "no patient has both features"),
        ((*MAF_ONLY, "rare.maf", "--genes", "all"), "no gene has 3 mutated"),
        ((*TABLE_ONLY, "scale.tsv"), "cannot be told whether values are in logarithms"),
        ((*TABLE_ONLY, "sides.tsv"), "cannot be told whether rows are genes or samples"),
        ((*TABLE_ONLY, "expression.tsv", "--n-genes", "907"), "907 genes cannot be drawn from 2"),
        ((*TABLE_ONLY, "constant.tsv", "--transform", "none"), "no gene varies"),
        (("--slides", "nobody.csv", *STUDY[2:]), "no patient is stated of any slide"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(files, tools, tmp_path, words, message):
    write_bad_tables(files)
    given = [files / word if word.endswith(ENDINGS) else word for word in words]
    small = SMALL[2:] if "--target-mpp" in words else SMALL
    outcome = tools.run(
        "run", "ftx", "--finetune", files / "tuned", "--evaluate", files / "tuned", "--out",
        tmp_path / "run", *NETWORK, *small, *given,
    )  # fmt: skip
    assert outcome.code in (1, 2)
    assert message in " ".join(outcome.err.split())
    assert "to fix it" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def luad(files):
    """Tables of 1,000 genes and some mutations, and the options of a run with them."""
    rng = np.random.default_rng(1)
    patients = [f"p{number}" for number in range(N_PATIENTS)]
    genes = [*LUAD_NINE, *(f"G{number}" for number in range(991))]
    table = pd.DataFrame(rng.uniform(0, 5000, (1000, N_PATIENTS)), genes, patients)
    table.rename_axis("sample").to_csv(files / "many.tsv", sep="\t")
    rows = [[g, "Missense_Mutation", p] for g in (*LUAD_NINE, "G7") for p in patients[::2]]
    columns = ["Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"]
    pd.DataFrame(rows, columns=columns).to_csv(files / "luad.maf", sep="\t", index=False)
    (files / "three.txt").write_text("TP53\nKRAS\nG7\n")
    tables = {"slides": files / "slides.csv", "mutations": files / "luad.maf"}
    tables |= {"sequenced": files / "sequenced.txt", "expression": files / "many.tsv"}
    usual = {"finetune": files, "evaluate": (files,), "out": files / "never", "slide_mpp": 1.0}
    return usual | tables


@pytest.mark.parametrize(
    ("genes", "more", "n_mutation", "n_expression"),
    [
        # The command line of the specification: --genes FILE|LUAD_NINE|all --n-genes N.
        ("LUAD_NINE", {"n_genes": 907}, 9, 907),
        ("three.txt", {"n_genes": 907}, 3, 907),
        ("all", {"n_genes": 907}, 10, 907),
        (None, {"n_genes": 907}, 9, 907),
        (None, {}, 9, 1000),
        ("three.txt", {}, 3, 3),
        ("three.txt", {"expression_genes": "LUAD_NINE", "n_genes": 2}, 3, 2),
        ("LUAD_NINE", {"mutations": None, "sequenced": None, "n_genes": 2}, None, 2),
    ],
)
def test_which_genes_each_target_takes(luad, files, genes, more, n_mutation, n_expression):
    genes = str(files / genes) if genes == "three.txt" else genes
    config = Ftx(**luad | {"genes": genes} | more)
    check_molecular(config, SILENT)
    patients = [f"p{number}" for number in range(N_PATIENTS)]
    read = {
        target.out.name: read_targets(tables_of(target), patients).values
        for target in prediction_configs(config, (files,), files)
    }
    assert read["expression"].shape == (N_PATIENTS, n_expression)
    if n_mutation is None:
        assert set(read["expression"]) < set(LUAD_NINE)
    else:
        assert read["mutation"].shape[1] == n_mutation
    if "expression_genes" in more:
        assert set(read["expression"]) < set(LUAD_NINE)


def test_what_the_presets_make_of_slides(luad):
    """Li 2022 tiles at 0.25 µm/px with Macenko of each tile at Io 255; patches stay at 0.5."""
    paper, usual, recommended = (
        Ftx(**luad | {"slide_mpp": None} | values)
        for values in (PRESETS["paper"], {}, PRESETS["recommended"])
    )
    made = [embed_config(c, "a", {"network": c.out}) for c in (paper, usual, recommended)]
    assert [e.target_mpp for e in made] == [0.25, 0.5, 0.5]
    assert [e.stain for e in made] == ["macenko-tile", "macenko-slide", "macenko-slide"]
    assert [e.stain_constants for e in made] == ["paper", "torchstain", "torchstain"]
    own = Ftx(**luad | {"stain_reference": luad["out"]})
    assert embed_config(own, "a", {"network": own.out}).stain_reference == luad["out"]
    assert paper.target_mpp == 0.5
    expression = prediction_configs(paper, (paper.out,), paper.out)[1]
    assert expression.constant_columns == "r"


def test_the_scale_of_a_table_can_be_stated(luad, files):
    write_bad_tables(files)
    tables = luad | {"expression": files / "scale.tsv", "expression_genes": "all"}
    with pytest.raises(InputError, match="cannot be told"):
        check_molecular(Ftx(**tables), SILENT)
    config = Ftx(**tables, transform="log2p1")
    check_molecular(config, SILENT)
    values = read_targets(
        tables_of(prediction_configs(config, (files,), files)[1]), ["p0", "p1"]
    ).values
    written = pd.read_csv(files / "scale.tsv", sep="\t", index_col=0)
    np.testing.assert_allclose(values["A"], np.log2(written.loc["A", ["p0", "p1"]] + 1))


def test_how_tables_are_read_can_be_stated(luad, files):
    """Names of samples, the way round, and which variants count reach the reading."""
    patients = [f"p{number}" for number in range(N_PATIENTS)]
    table = pd.read_csv(files / "expression.tsv", sep="\t", index_col=0)
    table.add_suffix("-T").T.rename_axis("name").to_csv(files / "turned.tsv", sep="\t")
    maf = pd.read_csv(files / "luad.maf", sep="\t")
    maf["Tumor_Sample_Barcode"] += "-T"
    silent = [["TP53", "Silent", f"{patient}-T"] for patient in patients[1:8:2]]
    maf = pd.concat([maf, pd.DataFrame(silent, columns=maf.columns)])
    maf.to_csv(files / "samples.maf", sep="\t", index=False)
    sheet = pd.DataFrame({"sample_id": [f"{p}-T" for p in patients], "patient_id": patients})
    sheet.to_csv(files / "samples.csv", index=False)
    config = Ftx(
        **luad | {"expression": files / "turned.tsv", "mutations": files / "samples.maf"},
        sample_sheet=files / "samples.csv", orientation="samples-in-rows",
        variant_classes=("any",), expression_genes="all",
    )  # fmt: skip
    check_molecular(config, SILENT)
    mutation, expression = (
        read_targets(tables_of(target), patients).values
        for target in prediction_configs(config, (files,), files)
    )
    assert list(expression.columns) == ["DARK", "NOISE"]
    np.testing.assert_allclose(expression["DARK"], table.loc["DARK", patients])
    assert mutation["TP53"].sum() == N_PATIENTS / 2 + 4
    assert mutation["KRAS"].sum() == N_PATIENTS / 2

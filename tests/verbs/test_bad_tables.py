"""standardize and tables that cannot be used: the message names the file and what to do."""

import pandas as pd
import pytest


def refused(tools, tmp_path, samples, *words, code=1):
    outcome = tools.run("standardize", "--samples", samples, "--out", tmp_path / "out", *words)
    assert outcome.code == code, outcome.err
    assert "to fix it" in outcome.err or "found:" in outcome.err
    assert not (tmp_path / "out").exists()
    return " ".join(outcome.err.split())


def table(tools, tmp_path, text, encoding="utf-8"):
    folder = tools.write_set(tmp_path / "set")
    (folder / "samples.csv").write_bytes(text.encode(encoding))
    return folder


GOOD = "file,label,mpp\ngland/p0-0.png,gland,1\nfat/p0-0.png,fat,1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,kind\na.png,x\n", "lacks the column(s) label (found: file, kind)"),
        ("", "lacks the column(s) file, label"),
        ("File,labels\na.png,x\n", "rename the column 'File' to 'file'"),
        ("file,labels\na.png,x\n", "rename the column 'labels' to 'label'"),
        ("path,label\na.png,x\n", "add the column(s) file"),
        ("path;kind\na.png;x\n", "separated by semicolons"),
        ("file,label\n", "names no images"),
        (GOOD.replace(",", ";"), "is separated by semicolons, not by commas"),
        (GOOD.replace(",", "\t"), "is separated by tabs"),
        ("file,label\ngland/p0-0.png,gland,1\n", "is not a table"),
        ("file,label\ngland/p0-0.png,gland\nfat/p0-0.png,fat,1,2\n", "is not a table"),
        (GOOD + "gland/p0-0.png,gland,1\n", "share a key"),
        (GOOD + "./gland/p0-0.png,gland,1\n", "'./gland/p0-0.png' are the same file"),
        (GOOD + "../secret.png,gland,1\n", "'../secret.png' leads out of"),
        (GOOD + "gland/../../secret.png,gland,1\n", "leads out of"),
        (GOOD + "/etc/passwd,gland,1\n", "'/etc/passwd' leads out of"),
        (
            GOOD + "gland/p1-0.png,,1\n",
            "column 'label' of the samples table is empty in data row 3",
        ),
        (GOOD + "gland/p1-0.png,gland,half\n", "data row 3: 'half' is not a number"),
        (GOOD + "gland/p1-0.png,gland,-1\n", "cannot be a scale in µm/px"),
        (GOOD + "gland/p1-0.png,gland,250000\n", "cannot be a scale in µm/px"),
    ],
)
def test_samples_table(tmp_path, tools, text, said):
    message = refused(tools, tmp_path, table(tools, tmp_path, text))
    assert said in message
    assert "set" in message


def test_a_link_that_climbs_out_is_refused(tmp_path, tools):
    folder = table(tools, tmp_path, GOOD + "link/p0-0.png,gland,1\n")
    tools.write_set(tmp_path / "elsewhere")
    (folder / "link").symlink_to(tmp_path / "elsewhere/gland")
    assert "'link/p0-0.png' leads out of" in refused(tools, tmp_path, folder)


def test_a_table_in_the_folder_one_stands_in_is_named(tmp_path, tools, monkeypatch):
    """Its folder is "." then, which has no name of its own."""
    monkeypatch.chdir(table(tools, tmp_path, GOOD + "/etc/passwd,gland,1\n"))
    message = refused(tools, tmp_path, "samples.csv")
    assert "set/samples.csv: the path '/etc/passwd' leads out of set" in message


def test_another_encoding_is_refused_and_a_bom_is_not(tmp_path, tools):
    latin = table(tools, tmp_path, GOOD.replace("gland,1", "Drüse,1"), "latin-1")
    assert "is not UTF-8 text" in refused(tools, tmp_path, latin)
    wide = table(tools, tmp_path, GOOD, "utf-16")
    assert "is not UTF-8 text" in refused(tools, tmp_path, wide)
    bom = table(tools, tmp_path, GOOD + "muscle/p0-0.png,Müskel,1\n", "utf-8-sig")
    tools.ok(
        "standardize", "--samples", bom, "--out", tmp_path / "out", "--target-mpp", 1,
        "--patch-px", 32, "--workers", 1,
    )  # fmt: skip
    assert set(tools.read_patches(tmp_path / "out")["label"]) == {"gland", "fat", "Müskel"}


def test_metadata_of_an_imagefolder(tmp_path, tools):
    folder = tools.write_set(tmp_path / "set")
    (folder / "samples.csv").unlink()
    (folder / "metadata.jsonl").write_text("{no json\n")
    assert "metadata.jsonl cannot be read" in refused(tools, tmp_path, folder)
    (folder / "metadata.jsonl").unlink()
    (folder / "metadata.parquet").write_bytes(b"PAR1 not really")
    assert "metadata.parquet cannot be read" in refused(tools, tmp_path, folder)
    pd.DataFrame({"path": ["a.png"]}).to_parquet(folder / "metadata.parquet")
    assert "lacks the column(s) file_name, label" in refused(tools, tmp_path, folder)


def test_folders_without_images(tmp_path, tools):
    folder = tools.write_set(tmp_path / "set")
    (folder / "samples.csv").unlink()
    (folder / "empty class").mkdir()
    assert "class folder(s) empty class hold no image" in refused(tools, tmp_path, folder)
    (tmp_path / "nothing").mkdir()
    assert "neither a samples.csv nor class folders" in refused(
        tools, tmp_path, tmp_path / "nothing"
    )
    assert "does not exist" in refused(tools, tmp_path, tmp_path / "absent")
    assert "BreakHis" in refused(tools, tmp_path, folder, "--catalogue", "Breakfast")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target-mpp", 0), "--target-mpp"),
        (("--target-mpp", "nan"), "--target-mpp"),
        (("--mpp", -1), "--mpp"),
        (("--patch-px", 4), "--patch-px is 4"),
        (("--overlap", 1), "--overlap is 1"),
        (("--test-fraction", 0.6, "--val-fraction", 0.4), "leave nothing to train on"),
        (("--workers", -1), "workers"),
        (("--background", "nan"), "background"),
        (("--seed", -1), "seed"),
        (("--max-image-px", 0), "--max-image-px"),
    ],
)
def test_options_that_cannot_be(tmp_path, tools, words, said):
    assert said in refused(tools, tmp_path, tools.write_set(tmp_path / "set"), *words, code=2)

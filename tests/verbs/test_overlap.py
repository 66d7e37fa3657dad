"""What a network was tuned on is never tested on; too small classes and groups are named."""

import pandas as pd
import pytest
from PIL import Image, ImageOps

from histograft.core.artefact import open_artefact
from histograft.verbs.networks import tuned_on

SMALL_NETWORK = (
    "--init", "random", "--arch", "resnet10t", "--hidden", 8, "--tune", "head",
    "--epochs-head", 1, "--batch-size", 16, "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory, tools):
    """A network tuned on the set "tuned", and functions to cut and embed further sets."""
    folder = tmp_path_factory.mktemp("overlap")

    class World:
        path = folder

        def cut(self, samples, out, *words):
            tools.ok(
                "standardize", "--samples", samples, "--out", folder / out, "--patch-px", 32,
                "--workers", 1, *(() if "--target-mpp" in words else ("--target-mpp", 1)), *words,
            )  # fmt: skip
            return folder / out

        def embed(self, patches, network="net"):
            out = folder / f"{patches.name}-{network}"
            source = ("--shortcuts",) if network is None else ("--network", folder / network)
            tools.ok("embed", "--patches", patches, "--out", out, *source)
            return out

        def predict(self, *features, **options):
            words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v)]
            out = folder / f"predictions-{len(list(folder.iterdir()))}"
            words += [] if "folds" in options else ["--folds", 2]
            words += ["--repeats", 1]
            outcome = tools.run("predict", "--features", *features, "--out", out, *words)
            return outcome, out

    made = World()
    tools.write_set(folder / "tuned", groups=10)
    patches = made.cut(folder / "tuned", "p-tuned", "--test-fraction", 0.4)
    tools.ok("train", "--patches", patches, "--out", folder / "net", *SMALL_NETWORK)
    return made


def test_its_own_set_is_tested_on_test_rows_only(world, tools):
    features = world.embed(world.path / "p-tuned")
    outcome, out = world.predict(features)
    assert outcome.code == 0
    table = pd.read_parquet(world.path / "p-tuned/metadata.parquet")
    test = set(table.loc[table["split"] == "test", "patch_id"])
    assert f"only its {len(test)} test rows are evaluated" in outcome.err
    assert set(pd.read_parquet(out / "predictions.parquet")["unit"]) == test
    refused, _ = world.predict(features, rows="all")
    assert refused.code == 1
    assert "a network was tuned on" in refused.err


def test_its_own_set_split_otherwise_is_refused(world):
    for words in (("--seed", 5), ("--test-fraction", 0, "--val-fraction", 0)):
        patches = world.cut(world.path / "tuned", f"p-again{words[1]}", *words)
        outcome, _ = world.predict(world.embed(patches))
        assert outcome.code == 1
        assert "a network was tuned on" in outcome.err


def test_another_set_with_one_of_the_images_is_refused(world, tools):
    other = tools.write_set(world.path / "other", groups=6)
    table = pd.read_parquet(world.path / "p-tuned/metadata.parquet")
    seen = table.loc[(table["split"] == "train") & (table["label"] == "fat"), "source_file"].iloc[0]
    (other / "fat/p0-0.png").write_bytes((world.path / "tuned" / seen).read_bytes())
    rows = pd.read_csv(other / "samples.csv")
    rows.assign(split=["train", "train", "train", "train", "test", "test"] * 3).to_csv(
        other / "samples.csv", index=False
    )
    patches = world.cut(other, "p-other")
    outcome, _ = world.predict(world.embed(patches))
    assert outcome.code == 1
    assert "other: a network was tuned on 1 of its 18 patches" in outcome.err
    assert "another set that shares them" in outcome.err
    # Asked for by name, its test rows can be used: none of them was seen.
    allowed, _ = world.predict(world.embed(patches), rows="test")
    assert allowed.code == 0
    # Fitted on the one and tested on the other, without any network.
    rows = pd.read_csv(other / "samples.csv").drop(columns=["group", "split"])
    tools.write_table(world.path / "bare" / "samples.csv", rows.to_dict("records"))
    for file in rows["file"]:
        target = world.path / "bare" / file
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((other / file).read_bytes())
    first, second = (
        world.embed(world.cut(world.path / "bare", f"p-bare{n}", "--name", f"bare{n}"), None)
        for n in range(2)
    )
    shared, _ = world.predict(first, fit_on=second)
    assert shared.code == 1
    assert "18 image(s) of its tested rows are also among those of bare1" in shared.err


def test_other_images_of_a_group_are_seen_too(world, tools):
    source = tools.write_set(world.path / "more", groups=10)
    patches = world.cut(source, "p-more", "--name", "tuned")
    index = pd.read_parquet(world.embed(patches) / "index.parquet")
    tuned = pd.read_parquet(world.path / "p-tuned/metadata.parquet")
    groups = set(tuned.loc[tuned["split"] != "test", "group"])
    assert (index["seen"] == index["group"].isin(groups)).all()
    # A group of the same name in a set of another name is another patient.
    other = world.cut(source, "p-named-otherwise")
    assert not pd.read_parquet(world.embed(other) / "index.parquet")["seen"].any()


def test_what_a_network_has_seen_adds_up(world, tools):
    source = tools.write_set(world.path / "second", groups=4, classes=("fat", "vessel"))
    patches = world.cut(source, "p-second")
    outcome = tools.ok(
        "train", "--patches", patches, "--out", world.path / "net2", "--init", world.path / "net",
        "--tune", "head", "--hidden", 8, "--epochs-head", 1, "--device", "cpu",
    )  # fmt: skip
    # Other classes: Part B is new, Part A is what it was.
    assert "Part B is new" in outcome.err
    assert open_artefact(world.path / "net2").facts["classes"] == ["fat", "vessel"]
    first = tuned_on(open_artefact(world.path / "net"))
    second = tuned_on(open_artefact(world.path / "net2"))
    assert first < second
    outcome, _ = world.predict(world.embed(world.path / "p-tuned", "net2"))
    assert outcome.code == 0
    assert "test rows are evaluated" in outcome.err


def test_features_of_patches_at_two_scales_are_not_joined(world, tools):
    source = tools.write_set(world.path / "scaled", groups=4, side=40)
    plain, halved = (
        world.embed(world.cut(source, f"p-{mpp}", "--target-mpp", mpp), network)
        for mpp, network in ((1, None), (1.25, "net"))
    )
    outcome, _ = world.predict(plain, halved)
    assert outcome.code == 1
    assert "features of other patches" in outcome.err


def test_small_classes_are_left_out_and_named(world, tools):
    rows = []
    folder = tools.write_set(world.path / "uneven", groups=5)
    for row in pd.read_csv(folder / "samples.csv").to_dict("records"):
        if row["label"] == "fat":
            row["group"] = f"p{int(row['group'][1]) % 2}"  # five images, two patients
        rows.append(row)
    tools.write_table(folder / "samples.csv", rows)
    features = world.embed(world.cut(folder, "p-uneven"), None)
    outcome, out = world.predict(features, folds=4)
    assert outcome.code == 0
    assert "class fat is left out" in outcome.err
    assert "2 groups for 4 folds" in outcome.err
    table = pd.read_parquet(out / "predictions.parquet")
    assert set(table["truth"]) == {"gland", "muscle"}
    assert set(table["predicted"]) <= {"gland", "muscle"}
    tools.ok("compare", "--predictions", out, "--out", world.path / "t-uneven", "--draws", 100,
             "--baseline", "shortcut-rgb")  # fmt: skip
    tools.ok("draw", "--inputs", world.path / "t-uneven", "--out", world.path / "r-uneven")
    assert "class fat is left out" in (world.path / "r-uneven/index.html").read_text()
    none_left, _ = world.predict(features, folds=6)
    assert none_left.code == 1
    assert "fewer than two classes" in none_left.err


def test_copies_in_two_groups_are_kept_together(world, tools):
    """Copies of an image, and near copies of another, that the table calls two patients."""
    folder = tools.write_set(world.path / "copies", groups=6, side=32)
    (folder / "fat/p1-0.png").write_bytes((folder / "fat/p0-0.png").read_bytes())
    with Image.open(folder / "gland/p0-0.png") as image:
        ImageOps.mirror(image).save(folder / "gland/p1-0.png")
    features = world.embed(world.cut(folder, "p-copies"), None)
    outcome, out = world.predict(features)
    assert outcome.code == 0
    assert "1 image(s) occur in several groups, which are kept together" in outcome.err
    # The groups p0 and p1 are one by the copy, so the mirrored image is in no other group.
    assert "near duplicate" not in outcome.err
    assert open_artefact(out).facts["shared"] == {"exact": 1, "near": 0}
    table = pd.read_parquet(out / "predictions.parquet")
    table = table[table["model"] == "shortcut-rgb"].astype({"group": str})
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    assert table.groupby("group")["unit"].count().to_dict() == {"p0": 6} | dict.fromkeys(
        ("p2", "p3", "p4", "p5"), 3
    )


def test_near_copies_in_two_groups_are_told(world, tools):
    folder = tools.write_set(world.path / "near", groups=6, side=32)
    with Image.open(folder / "gland/p0-0.png") as image:
        ImageOps.mirror(image).save(folder / "gland/p1-0.png")
    outcome, out = world.predict(world.embed(world.cut(folder, "p-near"), None))
    assert "1 pair(s) of near duplicate patches are in different groups" in outcome.err
    assert open_artefact(out).facts["shared"] == {"exact": 0, "near": 1}


def test_an_image_on_both_sides_is_refused_whatever_its_group(world, tools):
    one = tools.write_set(world.path / "fitted", groups=4)
    two = tools.write_set(world.path / "tested", groups=4)
    (two / "fat/p2-0.png").write_bytes((one / "fat/p0-0.png").read_bytes())
    first, second = (world.embed(world.cut(s, f"p-{s.name}"), None) for s in (one, two))
    outcome, _ = world.predict(second, fit_on=first)
    assert outcome.code == 1
    assert "tested: 1 image(s) of its tested rows are also among those of fitted" in outcome.err


def test_groups_switched_off_are_printed_in_the_report(world, tools):
    folder = tools.write_set(world.path / "grouped", groups=4, per_group=2)
    features = world.embed(world.cut(folder, "p-grouped"), None)
    out = world.path / "free"
    outcome = tools.ok(
        "predict", "--features", features, "--out", out, "--folds", 2, "--repeats", 1,
        "--no-groups",
    )  # fmt: skip
    assert "--no-groups" in outcome.err
    assert open_artefact(out).facts["no_groups"] is True
    tools.ok("compare", "--predictions", out, "--out", world.path / "t-free", "--draws", 100)
    tools.ok("draw", "--inputs", world.path / "t-free", "--out", world.path / "r-free")
    assert "--no-groups" in (world.path / "r-free/index.html").read_text()


def test_external_refuses_classes_that_were_never_fitted(world, tools):
    one, two = (
        world.embed(
            world.cut(tools.write_set(world.path / name, groups=3, classes=classes), f"p-{name}"),
            None,
        )
        for name, classes in (("few", ("fat", "gland")), ("many", ("fat", "gland", "vessel")))
    )
    outcome, _ = world.predict(two, fit_on=one)
    assert outcome.code == 1
    assert "many has classes that few lacks: vessel" in outcome.err


def test_a_baseline_that_is_nowhere_is_said_and_two_alike_are_refused(world, tools):
    source = tools.write_set(world.path / "plain", groups=4)
    features = world.embed(world.cut(source, "p-plain"), None)
    (_, first), (_, second) = (
        world.predict(features),
        world.predict(features, probe="knn", neighbors=3),
    )
    outcome = tools.ok(
        "compare", "--predictions", first, "--out", world.path / "t-none", "--draws", 100
    )
    assert "plain (cv) has no model imgnet-gap" in outcome.err
    too_many, _ = world.predict(features, probe="knn")
    assert too_many.code == 1
    assert "only 6 patches to fit on" in too_many.err
    refused = tools.run("compare", "--predictions", first, second, "--out", world.path / "t-two")
    assert refused.code == 1
    assert "are both predictions of tissue in plain (cv)" in refused.err

"""A network whose scale nobody knows is told of before it sees slides."""

import small_slides

SMALL = (
    "--init", "random", "--arch", "resnet10t", "--hidden", 8, "--batch-size", 16, "--tune", "head",
    "--epochs-head", 1, "--device", "cpu",
)  # fmt: skip


def test_a_network_of_unknown_scale_warns(tmp_path, standardized, tools):
    source = tools.write_set(tmp_path / "set", mpp=None, groups=3)
    patches = standardized(source, "--missing-mpp", "keep-pixels")
    tools.ok("train", "--patches", patches, "--out", tmp_path / "net", *SMALL)
    slide = small_slides.write_slide(tmp_path / "a.tif", small_slides.tissue(384, 320), mpp=1)
    row = {"slide_id": "a", "file": slide, "patient_id": "p"}
    table = small_slides.write_slides_table(tmp_path / "slides.csv", [row])
    outcome = tools.ok(
        "embed", table, "--network", tmp_path / "net", "--target-mpp", 1, "--tile-px", 64,
        "--device", "cpu", "--out", tmp_path / "out",
    )  # fmt: skip
    assert "it is not known at which µm/px the network" in outcome.err
    assert "now it sees 1 µm/px" in outcome.err

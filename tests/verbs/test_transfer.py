"""transfer: what it begins with, what it refuses, and what it resumes."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.verbs import transfer_start
from histograft.verbs.networks import find_start
from histograft.verbs.patch_images import load_patches
from histograft.verbs.transfer import Transfer, transfer
from histograft.verbs.transfer_start import transfer_network

CUT = ("--patch-px", 32, "--workers", 1, "--test-fraction", 0.3, "--val-fraction", 0.2)
QUICK = {
    "epochs": 1, "batch_size": 8, "augment": "none", "learning_rates": (1e-3,), "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """A source at 1 µm/px, a target at the same scale and one at another."""
    folder = tmp_path_factory.mktemp("transfer")
    for name, mpp in (("lung", 1), ("colon", 1), ("coarse", 2)):
        source = tools.write_set(folder / name, groups=10, side=96, mpp=0.5)
        tools.ok(
            "standardize", "--samples", source, "--out", folder / f"{name}-patches",
            "--target-mpp", mpp, *CUT,
        )  # fmt: skip
    tools.ok(
        "train", "--patches", folder / "lung-patches", "--out", folder / "source", "--init",
        "random", "--arch", "resnet10t", "--hidden", 0, "--tune", "all", "--epochs-all", 1,
        "--batch-size", 8,
    )  # fmt: skip
    return folder


def config(made, out, **fields):
    given = QUICK | {"patches": made / "colon-patches", "init": str(made / "source")} | fields
    return Transfer(out=out, **given)


class Listener:
    """Keeps what it is warned of."""

    def __init__(self):
        self.warned = []

    def __getattr__(self, name):
        return getattr(SILENT, name)

    def warn(self, text):
        self.warned.append(text)


def test_it_begins_with_the_layers_of_the_source_and_a_new_classifier(made, tmp_path):
    given = config(made, tmp_path)
    patches = open_artefact(given.patches, "patches")
    network = transfer_network(given, find_start(given.init, None), patches, load_patches(patches))
    source = load_file(made / "source" / "network.safetensors")
    for name, tensor in network.part_a.state_dict().items():
        assert torch.equal(tensor, source[name]), name
    assert not torch.equal(network.part_b.output.weight, source["part_b.output.weight"])


def test_trials_from_scratch_begin_with_other_weights(made, tmp_path):
    """Else their spread would hold the order of the patches alone."""
    first = []
    for trial in (0, 1, 0):
        given = config(made, tmp_path, init="random", arch="resnet10t", trial=trial)
        patches = open_artefact(given.patches, "patches")
        start = find_start(given.init, given.arch)
        network = transfer_network(given, start, patches, load_patches(patches))
        first.append([t.clone() for t in network.parameters() if t.ndim > 1])
    assert not any(torch.equal(a, b) for a, b in zip(first[0], first[1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first[0], first[2], strict=True))


def test_shuffled_weights_keep_their_values_and_nothing_else(made, tmp_path):
    given = config(made, tmp_path, shuffle=True)
    patches = open_artefact(given.patches, "patches")
    network = transfer_network(given, find_start(given.init, None), patches, load_patches(patches))
    source = load_file(made / "source" / "network.safetensors")
    name = next(n for n, t in network.part_a.state_dict().items() if t.ndim == 4)
    found = network.part_a.state_dict()[name]
    assert not torch.equal(found, source[name])
    assert torch.equal(found.flatten().sort().values, source[name].flatten().sort().values)


@pytest.mark.parametrize("norm", ["source", "target", "imagenet"])
def test_the_input_is_normalized_as_stated(made, tmp_path, norm):
    given = config(made, tmp_path, norm=norm)
    patches = open_artefact(given.patches, "patches")
    table = load_patches(patches)
    network = transfer_network(given, find_start(given.init, None), patches, table)
    if norm == "source":
        stated = json.loads((made / "source/network.json").read_text())["network"]
        expected = stated["mean"]
    elif norm == "imagenet":
        expected = [0.485, 0.456, 0.406]
    else:
        from PIL import Image

        files = table[table["split"] == "train"]["file_name"]
        pixels = [np.asarray(Image.open(given.patches / f)) / 255 for f in files]
        expected = np.stack(pixels).mean((0, 1, 2))
    assert network.spec.mean == pytest.approx(expected, abs=1e-5)


def test_test_rows_are_predicted_once_for_each_rate(made, tmp_path):
    done = transfer(config(made, tmp_path / "cell", learning_rates=(1e-3, 1e-4)))
    rows = pd.read_parquet(done.file("predictions.parquet"))
    table = load_patches(open_artefact(made / "colon-patches", "patches"))
    test = set(table[table["split"] == "test"]["patch_id"])
    for _, part in rows.groupby("model", observed=True):
        assert set(part["unit"]) == test
        assert len(part) == len(test)
    assert done.facts["models"] == ["lr-0.001", "lr-0.0001"]
    assert [f.name for f in done.path.iterdir() if f.suffix == ".safetensors"] == []


def test_a_network_as_it_is_must_know_the_classes(made, tmp_path, tools):
    done = transfer(config(made, tmp_path / "cell", tune="none"))
    assert done.facts["models"] == ["as-it-is"]
    source = tools.write_set(tmp_path / "other", groups=6, classes=("bone", "skin"))
    tools.ok(
        "standardize", "--samples", source, "--out", tmp_path / "patches", "--target-mpp", 1, *CUT
    )
    with pytest.raises(InputError, match="tells fat, gland, muscle apart"):
        transfer(config(made, tmp_path / "no", patches=tmp_path / "patches", tune="none"))
    with pytest.raises(InputError, match="have no classes"):
        transfer(config(made, tmp_path / "no2", init="random", arch="resnet10t", tune="none"))


def test_another_scale_is_warned_of_recorded_and_refused_if_asked(made, tmp_path):
    listener = Listener()
    other = {"patches": made / "coarse-patches"}
    done = transfer(config(made, tmp_path / "cell", **other), listener)
    assert any("1 µm/px" in text and "2 µm/px" in text for text in listener.warned)
    assert (done.facts["source_mpp"], done.facts["target_mpp"]) == (1.0, 2.0)
    with pytest.raises(InputError, match="learned at 1 µm/px"):
        transfer(config(made, tmp_path / "strict", strict_scale=True, **other))


def test_scales_that_are_not_known_are_refused_if_asked(made, monkeypatch):
    table = pd.DataFrame({"mpp": [None, None]}, dtype=float)
    start = find_start(str(made / "source"), None)
    monkeypatch.setattr(transfer_start, "load_spec", lambda _: SimpleNamespace(mpp=None))
    both = {"source_mpp": None, "target_mpp": None}
    assert transfer_start.compare_scales(start, table, SILENT, strict=False) == both
    with pytest.raises(InputError, match="unknown scale"):
        transfer_start.compare_scales(start, table, SILENT, strict=True)


def test_a_source_that_saw_the_test_rows_is_refused(made, tmp_path, tools):
    # The same images, dealt in another way: what was training is testing now.
    tools.ok(
        "standardize", "--samples", made / "lung", "--out", tmp_path / "again", "--target-mpp", 1,
        *CUT, "--seed", 5,
    )  # fmt: skip
    with pytest.raises(InputError, match="was trained on"):
        transfer(config(made, tmp_path / "cell", patches=tmp_path / "again"))


def test_a_target_of_one_class_is_refused(made, tmp_path, tools):
    source = tools.write_set(tmp_path / "one", groups=10, classes=("gland",))
    tools.ok(
        "standardize", "--samples", source, "--out", tmp_path / "patches", "--target-mpp", 1, *CUT
    )
    with pytest.raises(InputError, match=r"patches shows one class only \(gland\)"):
        transfer(config(made, tmp_path / "cell", patches=tmp_path / "patches"))


def test_a_rate_that_diverges_is_a_result(made, tmp_path):
    done = transfer(config(made, tmp_path / "cell", learning_rates=(1e30, 1e-3)))
    first, second = done.facts["transfer"]["rates"]
    assert first["diverged"]
    assert first["val_metric"] is None
    assert not second["diverged"]
    assert done.facts["models"] == ["lr-0.001"]


def test_finished_rates_of_a_killed_run_are_kept(made, tmp_path):
    given = config(made, tmp_path / "cell", learning_rates=(1e-3, 1e-4))
    whole = transfer(given)
    expected = whole.file("predictions.parquet").read_bytes()
    shutil.rmtree(tmp_path / "cell")
    with pytest.MonkeyPatch.context() as patch:
        import histograft.verbs.transfer as module

        finished = module._trained

        def killed(config, rate, *rest):
            if rate == 1e-4:
                raise KeyboardInterrupt
            return finished(config, rate, *rest)

        patch.setattr(module, "_trained", killed)
        with pytest.raises(KeyboardInterrupt):
            transfer(given)
        calls = []
        patch.setattr(
            module, "_trained", lambda c, rate, *r: calls.append(rate) or finished(c, rate, *r)
        )
        again = transfer(given)
    assert calls == [1e-4]
    assert again.file("predictions.parquet").read_bytes() == expected

"""A network as ONNX: ONNX Runtime says what PyTorch says, at sizes of which it was not made."""

import json

import numpy as np
import pytest
import torch
from small_pieces import write_pieces

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.learning.export import largest_difference, to_onnx
from histograft.learning.network import Network, NetworkSpec
from histograft.verbs.distill import Distill, distill
from histograft.verbs.export import Export, export
from histograft.verbs.networks import load_network, load_spec, tuned_on
from histograft.verbs.rescale import Rescale, rescale

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
pytest.importorskip("onnxscript", reason="the extra export is not installed")


def logits_of(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    write_pieces(folder / "set", 16)
    rescale(Rescale(folder / "set", out=folder / "1", scale="relative", workers=1))
    config = Distill(
        folder / "1", out=folder / "network", epochs=1, norm_groups=8, device="cpu", augment="none"
    )
    return distill(config)


@pytest.fixture(scope="module")
def exported(student, tmp_path_factory):
    return export(Export(student.path, out=tmp_path_factory.mktemp("out") / "exported"))


def test_onnx_runtime_says_what_torch_says_of_images_of_any_size(student, exported):
    network = load_network(student)
    rng = np.random.default_rng(5)
    for shape in ((1, 3, 32, 32), (5, 3, 130, 77), (2, 3, 64, 203)):
        images = rng.standard_normal(shape, dtype=np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy()
        found = logits_of(exported.path / "network.onnx", images)
        assert found.shape == (shape[0], 2)
        assert np.abs(found - expected).max() < 1e-4
        assert np.abs(expected).max() > 1e-3  # there is something to agree on


def test_it_is_a_network_as_before(student, exported):
    assert exported.kind == "network"
    assert exported.facts["max_abs_difference"] <= 1e-4
    assert exported.facts["any_size"] is True
    assert exported.facts["classes"] == ["a", "b"]
    assert load_spec(exported) == load_spec(student)
    assert tuned_on(exported) == tuned_on(student)
    mine, other = load_network(exported).state_dict(), load_network(student).state_dict()
    assert all(torch.equal(mine[name], other[name]) for name in other)
    session = onnxruntime.InferenceSession(str(exported.path / "network.onnx"))
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == ["a", "b"]
    assert json.loads(facts["mean"]) == pytest.approx(load_spec(student).mean)
    again = export(Export(student.path, out=exported.path))
    assert again.id == open_artefact(exported.path).id


def test_its_card_is_that_of_the_network_with_one_file_more(student, exported):
    of_student, mine = (n.file("README.md").read_text().splitlines() for n in (student, exported))
    assert [line for line in mine if line not in of_student] == [
        "| the same from normalized images to logits | `network.onnx` |"
    ]
    assert len(mine) == len(of_student) + 1
    assert any("random weights" in line for line in mine)


def test_a_network_of_patches_takes_its_own_size_only(tmp_path):
    spec = NetworkSpec("resnet10t", ("a", "b", "c"), hidden=(8,), patch_px=64)
    torch.manual_seed(0)
    network = Network(spec)
    model = to_onnx(network, any_size=False)
    assert largest_difference(network, model, [(1, 64, 64), (4, 64, 64)]) < 1e-4
    (tmp_path / "m.onnx").write_bytes(model)
    with pytest.raises(Exception, match="64"):
        logits_of(tmp_path / "m.onnx", np.zeros((1, 3, 96, 96), np.float32))


def test_a_model_that_says_something_else_is_refused(student, tmp_path, monkeypatch):
    from histograft.learning import export as kernel

    other = load_network(student)
    with torch.no_grad():
        other.part_b.output.bias += 2e-4
    true = kernel.to_onnx
    monkeypatch.setattr(kernel, "to_onnx", lambda network, **k: true(other, **k))
    with pytest.raises(InputError, match=r"differ from PyTorch's by up to 0\.0002"):
        export(Export(student.path, out=tmp_path / "refused"))
    assert not (tmp_path / "refused" / "network.onnx").exists()


def test_nan_is_no_agreement(student):
    network = load_network(student)
    model = to_onnx(network, any_size=True)
    with torch.no_grad():
        network.part_b.output.bias[0] = float("nan")
    assert largest_difference(network, model, [(1, 64, 64)]) == np.inf


def test_without_the_extra_it_is_said(student, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="onnxruntime is not installed") as caught:
        export(Export(student.path, out=tmp_path / "out"))
    assert "histograft[export]" in str(caught.value)

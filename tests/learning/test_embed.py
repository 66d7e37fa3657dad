"""Features: one pass for all points, and no trace of the batch size."""

import numpy as np
import pytest
import torch

from histograft.core.errors import InputError
from histograft.learning.batches import ImageBatches, normalize
from histograft.learning.embed import embed, project, random_projection_head
from histograft.learning.frozen import pooled_features, stored_or_computed
from histograft.learning.network import NetworkSpec
from histograft.learning.regime import make_fabric
from histograft.learning.weights import build_network

POINTS = ("gap", "dense", "dense-pre")


@pytest.fixture(scope="module")
def network():
    spec = NetworkSpec("mobilenetv2_050", ("a", "b"), hidden=(32,), mean=(0.3, 0.5, 0.6))
    network = build_network(spec, "random", seed=0)
    torch.manual_seed(0)
    for layer in network.part_a.modules():  # statistics of a network that has learned something
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return network


def whole(network, images, **options):
    parts = list(embed(network, images, POINTS, device="cpu", **options))
    return {point: np.concatenate([part[point] for part in parts]) for point in POINTS}


def test_all_points_in_one_pass_are_those_of_the_network(network, make_images, monkeypatch):
    source, _ = make_images(7, size=64)
    passes = []
    forward = network.forward_a
    monkeypatch.setattr(network, "forward_a", lambda x: passes.append(len(x)) or forward(x))
    found = whole(network, iter(source.array), batch_size=3)
    assert passes == [3, 3, 1]
    spec = network.spec
    x = normalize(torch.from_numpy(source.array).permute(0, 3, 1, 2), spec.mean, spec.std)
    for point in POINTS:
        assert found[point].dtype == np.float32
        with torch.inference_mode():
            expected = network.eval().features(x, point).numpy()
        np.testing.assert_allclose(found[point], expected, rtol=1e-4, atol=1e-5)
    assert (found["dense"] == np.maximum(found["dense-pre"], 0)).all()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_batch_size_changes_nothing_but_rounding(network, make_images, batch_size):
    source, _ = make_images(16, size=64)
    reference = whole(network, source.array, batch_size=7)
    found = whole(network, source.array, batch_size=batch_size)
    again = whole(network, source.array, batch_size=batch_size)
    for point in POINTS:
        np.testing.assert_array_equal(found[point], again[point])
        largest = np.abs(reference[point]).max()
        np.testing.assert_allclose(found[point], reference[point], rtol=0, atol=1e-5 * largest)
        assert np.abs(reference[point][0] - reference[point][1]).max() > 0.01 * largest


def test_it_streams(network, make_images):
    source, _ = make_images(3)
    taken = []

    def images():
        while True:
            taken.append(1)
            yield source.array[0]

    stream = embed(network, images(), ("gap",), device="cpu", batch_size=2)
    assert next(stream)["gap"].shape == (2, network.gap_size)
    assert len(taken) == 2


def test_no_images_give_no_batches(network):
    assert list(embed(network, [], ("gap",), device="cpu")) == []


def test_what_cannot_be_embedded_is_refused(network):
    good = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(InputError, match="no feature point"):
        embed(network, [good], ("cls",), device="cpu")
    with pytest.raises(InputError, match="batch_size"):
        embed(network, [good], ("gap",), device="cpu", batch_size=0)
    for bad in (good.astype(np.float32), good[..., 0], np.zeros((16, 32, 3), np.uint8)):
        with pytest.raises(InputError, match="image 2"):
            list(embed(network, [good, good, bad], ("gap",), device="cpu", batch_size=3))


def test_pooled_features_are_the_gap_of_embed_and_are_kept(network, make_images, tmp_path):
    source, _ = make_images(9, size=64)
    fabric = make_fabric("cpu", "32-true")
    told = []
    found = pooled_features(
        network,
        ImageBatches(source, 0),
        bounds=[(0, 4), (4, 9)],
        fabric=fabric,
        on_batch=lambda *step: told.append(step[0]),
    )
    expected = whole(network, source.array, batch_size=4)["gap"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert told == [1, 2]
    part = pooled_features(network, ImageBatches(source, 0), bounds=[(4, 9)], fabric=fabric)
    np.testing.assert_array_equal(part, found[4:])
    path = tmp_path / "pooled.npy"
    shape = found.shape
    assert stored_or_computed(path, lambda: found, shape) is found
    np.testing.assert_array_equal(stored_or_computed(path, lambda: 1 / 0, shape), found)
    path.write_bytes(path.read_bytes()[:-4])
    np.testing.assert_array_equal(stored_or_computed(path, lambda: found, shape), found)


def test_random_projection_is_seeded_and_by_hand():
    gap = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    head = random_projection_head(8, 6, seed=1)
    weight = head[0].weight.numpy()
    np.testing.assert_allclose(
        project(head, gap), np.maximum(gap @ weight.T, 0), rtol=1e-5, atol=1e-6
    )
    assert np.abs(weight).max() <= np.sqrt(6 / 14)
    assert torch.equal(random_projection_head(8, 6, seed=1)[0].weight, head[0].weight)
    assert not torch.equal(random_projection_head(8, 6, seed=2)[0].weight, head[0].weight)
    assert not any(p.requires_grad for p in head.parameters())

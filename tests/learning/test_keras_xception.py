"""Converted Keras Xception weights against Keras itself, on random weights and statistics."""

import os
import warnings
from itertools import pairwise

import h5py
import numpy as np
import pytest
import torch

from histograft.core.errors import InputError
from histograft.learning.architectures import create_part_a
from histograft.learning.keras_xception import (
    KERAS_FACTS,
    convert_keras_xception,
    keras_layer_names,
    read_keras_xception,
)
from histograft.learning.weights import open_weights

# Keras 3.15 with NumPy 2: its variables lack the copy keyword of __array__
of_keras = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def keras_model():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Keras warns about at import is not ours to mend
        keras = pytest.importorskip("keras", minversion="3.0", reason="needs Keras 3")
    if keras.backend.backend() != "torch":
        pytest.skip("needs Keras on its torch backend")
    model = keras.applications.Xception(weights=None, include_top=False, pooling="avg")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        kernels = layer.get_weights()
        if kernels and kernels[0].ndim == 4:  # variance kept, or depth would wash the image out
            fan_in = [
                np.prod(k.shape[:2]) * (1 if k.shape[3] == 1 else k.shape[2]) for k in kernels
            ]
            gains = [1.0, 2.0] if len(kernels) == 2 else [2.0]
            layer.set_weights(
                [
                    rng.normal(0, np.sqrt(gain / n), k.shape).astype(np.float32)
                    for k, n, gain in zip(kernels, fan_in, gains, strict=True)
                ]
            )
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.get_weights()[0].size
            statistics = (
                rng.uniform(0.5, 1.5, n),
                rng.normal(0, 0.3, n),
                rng.normal(0, 0.3, n),
                rng.uniform(0.5, 1.5, n),
            )
            layer.set_weights([s.astype(np.float32) for s in statistics])
    return model


def two_images(size):
    """Two different smooth images with some noise, on Keras's scale -1 … 1."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(-1, 1, (2, 8, 8, 3)).repeat(size // 8 + 1, 1).repeat(size // 8 + 1, 2)
    noise = rng.normal(0, 0.2, (2, size, size, 3))
    return np.clip(coarse[:, :size, :size] + noise, -1, 1).astype(np.float32)


def save_like_keras2(model, path):
    """HDF5 of Keras 2 (and of the published notop file): weight names list per layer."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=array)


@of_keras
@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize("layout", ["keras2", "keras3"])
@pytest.mark.parametrize("size", [224, 111])
def test_converted_network_gives_the_numbers_of_keras(keras_model, tmp_path, layout, size):
    path = tmp_path / ("xception_notop.h5" if layout == "keras2" else "xception.weights.h5")
    if layout == "keras2":
        save_like_keras2(keras_model, path)
    else:
        keras_model.save_weights(path)
    opened = open_weights(path)
    assert opened.architecture == "legacy_xception"
    assert opened.mean == opened.std == (0.5, 0.5, 0.5)
    assert opened.assumed == ()
    ours = create_part_a(opened.architecture, opened.kwargs)
    ours.load_state_dict(opened.state)

    x = two_images(size)
    with torch.inference_mode():
        theirs = keras_model(torch.from_numpy(x)).cpu().numpy()
        found = ours.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    assert found.shape == (2, 2048)
    # the network must see the image: in a dead one anything agrees
    assert np.abs(theirs[0] - theirs[1]).max() > 0.1 * np.abs(theirs).max()
    np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@of_keras
@pytest.mark.keras
@pytest.mark.slow
def test_symmetric_padding_would_not_do(keras_model, tmp_path):
    """The witness can fail: without TensorFlow's padding the numbers are others."""
    save_like_keras2(keras_model, tmp_path / "x.h5")
    plain = create_part_a("legacy_xception", {"bn_eps": 1e-3})
    plain.load_state_dict(read_keras_xception(tmp_path / "x.h5"))
    x = two_images(224)
    with torch.inference_mode():
        theirs = keras_model(torch.from_numpy(x)).cpu().numpy()
        found = plain.eval()(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - theirs).max() > 0.01 * np.abs(theirs).max()


def random_layers(seed=0):
    """Arrays of Keras's shapes, made without Keras from the paper's figure 5."""
    rng = np.random.default_rng(seed)
    layers = {}

    def conv(name, k, a, b):
        layers[name] = [rng.normal(size=(k, k, a, b))]
        layers[f"{name}_bn"] = [rng.normal(size=b) for _ in range(4)]

    def separable(name, a, b):
        layers[name] = [rng.normal(size=(3, 3, a, 1)), rng.normal(size=(1, 1, a, b))]
        layers[f"{name}_bn"] = [rng.normal(size=b) for _ in range(4)]

    conv("block1_conv1", 3, 3, 32)
    conv("block1_conv2", 3, 32, 64)
    sizes = [64, 128, 256, 728]
    for i, (a, b) in enumerate(pairwise(sizes), start=1):
        conv(f"residual{i}", 1, a, b)
        separable(f"block{i + 1}_sepconv1", a, b)
        separable(f"block{i + 1}_sepconv2", b, b)
    for block in range(5, 13):
        for i in (1, 2, 3):
            separable(f"block{block}_sepconv{i}", 728, 728)
    conv("residual4", 1, 728, 1024)
    separable("block13_sepconv1", 728, 728)
    separable("block13_sepconv2", 728, 1024)
    separable("block14_sepconv1", 1024, 1536)
    separable("block14_sepconv2", 1536, 2048)
    return layers


@pytest.fixture(scope="module")
def layers():
    return random_layers()


def test_every_tensor_of_both_sides_is_used_once(layers):
    assert set(layers) == set(keras_layer_names())
    state = convert_keras_xception(layers)
    expected = create_part_a("legacy_xception").state_dict()
    assert list(state) == list(expected)
    ours = sorted(
        float(t.double().sum()) for n, t in state.items() if not n.endswith("num_batches_tracked")
    )
    theirs = sorted(
        float(a.astype(np.float32).astype(float).sum()) for x in layers.values() for a in x
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_automatic_names_of_keras_1_and_2_are_recognized(layers):
    renamed = {}
    for name, arrays in layers.items():
        kind = "batchnormalization" if name.endswith("_bn") else "convolution2d"
        # 9 … 12: to be sorted as numbers, not as text
        automatic = f"{kind}_{int(name[8]) + 8}" if name.startswith("residual") else name
        renamed[automatic] = arrays
    plain, found = convert_keras_xception(layers), convert_keras_xception(renamed)
    assert all(torch.equal(tensor, found[key]) for key, tensor in plain.items())
    last = torch.from_numpy(layers["residual4"][0].astype(np.float32)).permute(3, 2, 0, 1)
    assert torch.equal(found["block12.skip.weight"], last)


def test_a_missing_layer_and_a_wrong_shape_are_named(layers):
    short = {k: v for k, v in layers.items() if k != "block7_sepconv2"}
    with pytest.raises(InputError, match="block7_sepconv2"):
        convert_keras_xception(short)
    wrong = {**layers, "block14_sepconv2_bn": [np.zeros(7)] * 4}
    with pytest.raises(InputError, match=r"block14_sepconv2_bn .*bn4\.weight"):
        convert_keras_xception(wrong)


def test_a_truncated_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=r"weights\.h5"):
        open_weights(path)
    with h5py.File(path, "w") as file:
        file.create_group("features")
    with pytest.raises(InputError, match=r"weights\.h5"):
        open_weights(path)


def test_facts_of_keras_are_those_of_its_documentation():
    assert KERAS_FACTS["kwargs"] == {"tf_same": True, "bn_eps": 1e-3}


@pytest.mark.parametrize("n", [5, 6, 7, 8, 14, 28])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 3)])
def test_same_padding_is_tensorflows_formula(n, kernel, stride):
    """Against the formula, written out in NumPy for one row of ones."""
    from torch import nn

    from histograft.learning.architectures import tf_same

    conv = nn.Conv2d(1, 1, kernel, stride, kernel // 2, bias=False)
    weights = torch.arange(1.0, kernel + 1)  # not symmetric, so that a shift shows
    conv.weight.data[:] = 0
    conv.weight.data[0, 0, kernel // 2] = weights
    model = tf_same(nn.Sequential(conv))
    row = np.random.default_rng(n).normal(size=n)
    out = -(-n // stride)
    total = max((out - 1) * stride + kernel - n, 0)
    padded = np.pad(row, (total // 2, total - total // 2))
    expected = [padded[i * stride : i * stride + kernel] @ weights.numpy() for i in range(out)]
    image = torch.from_numpy(row).float().reshape(1, 1, 1, n).expand(1, 1, n, n)
    with torch.inference_mode():
        found = model(image)[0, 0, out // 2].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

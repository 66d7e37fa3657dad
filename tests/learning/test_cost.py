"""Costs against torch's own counter and against sizes that are known."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from histograft.core.errors import InputError
from histograft.learning.cost import _Living, count_macs, mean_macs, measure
from histograft.learning.network import Network, NetworkSpec

DIPALMA = NetworkSpec("dipalma_resnet10", ("a", "b", "c"), hidden=())


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (DIPALMA, (64, 96)),
        (DIPALMA, (97, 121)),
        (NetworkSpec("resnet18", ("a", "b"), {"norm_groups": 32}, ()), (70, 64)),
        (NetworkSpec("mobilenetv2_100", ("a", "b"), hidden=(32,)), (64, 64)),  # grouped
        (NetworkSpec("legacy_xception", ("a", "b"), {"tf_same": True}, (16,)), (96, 96)),
    ],
)
def test_counts_are_those_of_torch(spec, size):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Network(spec).eval()(torch.zeros(1, 3, *size))
    assert 2 * count_macs(spec, *size) == counter.get_total_flops()


def test_the_published_network_takes_5016_a_pixel():
    head = 256 * 3
    assert count_macs(DIPALMA, 2048, 1024) == 5016 * 2048 * 1024 + head
    # medians of the paper's Table 1, as counted by hand in the specification: GMAC
    for (height, width), giga in (((1934, 1550), 15.0), ((1267, 1428), 9.1), ((7152, 8424), 302)):
        assert count_macs(DIPALMA, height, width) == pytest.approx(giga * 1e9, rel=0.012)
    coarse, fine = count_macs(DIPALMA, 256, 256) - head, count_macs(DIPALMA, 2048, 2048) - head
    assert fine == 64 * coarse


def test_means_weigh_every_piece():
    one, two = count_macs(DIPALMA, 64, 64), count_macs(DIPALMA, 128, 64)
    assert mean_macs(DIPALMA, [(64, 64), (128, 64), (64, 64)]) == pytest.approx((2 * one + two) / 3)
    with pytest.raises(InputError, match="no piece"):
        mean_macs(DIPALMA, [])


def test_what_cannot_be_counted():
    with pytest.raises(InputError, match="attention"):
        count_macs(NetworkSpec("vit_tiny_patch16_224", ("a", "b")), 224, 224)


def test_living_tensors_by_hand():
    x = torch.zeros(1000)  # 4,000 bytes, made before
    with _Living() as living:
        y = x + 1  # 4,000
        z = torch.cat([y, y])  # 8,000 more
        del y
        w = z.view(2, 1000).sum(1) + 0  # a view takes nothing; 8 bytes, and 8 again
        del z
        v = x.add_(1)
    assert living.peak == 12_000
    assert len(w) == 2
    assert v is x


def test_measured_memory_holds_weights_image_and_the_largest_layers():
    side = 256
    found = measure(Network(DIPALMA), (side, side), repeats=1, device="cpu")
    weights, image = 4 * 1_231_011, 4 * 3 * side * side
    stem = 4 * 32 * (side // 2) ** 2  # of one tensor after the first convolution
    assert weights + image + 2 * stem <= found.peak_bytes <= weights + image + 4 * stem
    assert found.ms > 0
    with pytest.raises(InputError):
        measure(Network(DIPALMA), (64, 64), repeats=0)

"""Weight distillation of nine ResNet18, and of two ResNet50 with matched channels.

Prints the seconds of each and whether it keeps its promise: nine ResNet18 in the paper's mode under
60 s, two ResNet50 with matched channels under two minutes, on two cores::

    python benchmarks/fuse.py

Networks have random weights: unrelated networks are the hardest to match. The last line shuffles
the channels of a ResNet50 and says how far the fused network is from the one it was. Ends with exit
status 1 where a time was not kept.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import timm
import torch

from histograft.learning.alignment import permuted, resnet_axes
from histograft.learning.fuse import Mode, fuse_report, fuse_state_dicts
from histograft.learning.fuse_states import State


def make(architecture: str, n: int) -> list[State]:
    torch.manual_seed(0)
    return [timm.create_model(architecture, num_classes=9).state_dict() for _ in range(n)]


def shuffled(state: State) -> dict[str, torch.Tensor]:
    axes = resnet_axes(state)
    rng = np.random.default_rng(0)
    sizes = {
        group: state[name].shape[axis]
        for name, groups in axes.items()
        for axis, group in enumerate(groups)
        if group is not None
    }
    return permuted(state, axes, {group: rng.permutation(size) for group, size in sizes.items()})


def timed(title: str, states: list[State], mode: Mode, limit_s: float) -> bool:
    start, cpu = time.perf_counter(), time.process_time()
    fuse_state_dicts(states, mode)
    clock, cpu = time.perf_counter() - start, time.process_time() - cpu
    kept = clock < limit_s
    verdict = "kept" if kept else "NOT KEPT"
    print(
        f"{title:30s} {clock:6.1f} s ({cpu:5.1f} s of processor), {limit_s:.0f} s: {verdict}",
        flush=True,
    )
    return kept


def main() -> int:
    nine = timed("nine ResNet18, paper", make("resnet18", 9), "paper", 60)
    pair = make("resnet50", 2)
    two = timed("two ResNet50, aligned-average", pair, "aligned-average", 120)
    report = fuse_report([pair[0], shuffled(pair[0])], "aligned-average")
    worst = max(
        float((report.state[name] - tensor).abs().max())
        for name, tensor in pair[0].items()
        if tensor.is_floating_point()
    )
    print(
        f"a ResNet50 with {report.channels_moved[1]:.1%} of its channels moved: off by {worst:.1e}"
    )
    return 0 if nine and two else 1


if __name__ == "__main__":
    sys.exit(main())

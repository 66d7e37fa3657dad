"""Training runs in processes of their own, for `test_resume`: they are killed and started again.

Usage: python resumable_run.py TUNE. For each FOLDER on standard input a process is forked, as
importing torch takes longer than the run. It prints its id, then a line for each step; then its
exit code is printed. Nothing but imports is done before, so forks begin as new processes would.
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch

from histograft.learning.loop import FitResult, Regime, RunOptions, fit
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.weights import build_network


class Noise:
    def __init__(self, n: int, seed: int) -> None:
        self.array = np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.array)

    def image(self, index: int) -> np.ndarray:
        return self.array[index]


def run(folder: Path | None, tune: str, on_step=None) -> tuple[Network, FitResult]:
    torch.set_num_threads(1)
    spec = NetworkSpec("mobilenetv2_035", ("a", "b"), kwargs={"drop_rate": 0.3}, hidden=(16,))
    network = build_network(spec, "random", seed=0)
    regime = Regime(
        tune,
        "adamw",
        lr=1e-3,
        weight_decay=0.01,
        schedule="cosine",
        epochs=3,
        batch_size=8,
        augment="none" if tune == "head" else "flips-turns",
        select="best",
        seed=3,
    )
    options = RunOptions("cpu", folder, on_step, checkpoint_every_s=0.0)
    labels = np.arange(41) % 2
    result = fit(
        network, Noise(41, 0), labels, Noise(10, 1), labels[:10], regime=regime, run=options
    )
    return network, result


def say(*words) -> None:
    print(*words, flush=True)  # noqa: T201 - its interface


def work(folder: Path, tune: str) -> None:
    say("id", os.getpid())
    network, result = run(folder, tune, say)
    torch.save((state_to_save(network), result.history), folder / "end.pt")


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(Path(line.strip()), sys.argv[1])
            os._exit(0)
        say("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

"""What is said of steps of a training, from its first one or from wherever it goes on."""

from __future__ import annotations

import pytest

from histograft.core.reporter import SilentReporter
from histograft.verbs.training import StepTeller


class Hearer(SilentReporter):
    """Keeps what is said, and counts steps."""

    def __init__(self):
        self.said, self.done = [], 0

    def note(self, text):
        self.said.append(text)

    def advance(self, steps=1, note=""):
        self.done += steps


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([(1, 1), (1, 2), (2, 1)], []),
        ([(0, 1), (0, 2), (1, 1)], []),  # epoch 0: features of a frozen part
        ([(2, 2), (3, 1)], ["going on in epoch 2 of 3, where it stopped"]),
        ([(1, 2)], ["going on in epoch 1 of 3, where it stopped"]),
    ],
)
def test_a_training_that_goes_on_says_where(steps, said):
    hearer = Hearer()
    tell = StepTeller(hearer, 3, hearer)
    for epoch, step in steps:
        tell(epoch, step, 2, 0.5, 100.0)
    assert hearer.said == said
    epoch, step = steps[-1]
    assert hearer.done == max(0, epoch - 1) * 2 + step

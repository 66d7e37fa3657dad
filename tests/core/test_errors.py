"""Errors say what to do, and cross processes unharmed."""

import pickle

import pytest

from histograft.core.errors import ArtefactError, HistograftError, ImageError, InputError


def test_problem_and_fix_are_two_sentences():
    assert str(InputError("a.csv is empty.", "add rows.")) == "a.csv is empty. To fix it: add rows."
    assert str(InputError("a.csv is empty")) == "a.csv is empty."


@pytest.mark.parametrize(
    "error",
    [InputError("a", "b"), ArtefactError("a"), ImageError("truncated", "x.png is cut off", "mend")],
)
def test_they_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert isinstance(copy, HistograftError)
    assert (str(copy), vars(copy)) == (str(error), vars(error))

"""References as text, and numbers that cannot be one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.imaging.stain_reference import PAPER, TORCHSTAIN, StainReference

numbers = st.floats(0.01, 5)
pairs = st.tuples(numbers, numbers)


@given(name=st.text(), io=st.floats(1, 300), red=pairs, blue=pairs, strongest=pairs)
def test_text_and_back(name: str, io: float, red: Any, blue: Any, strongest: Any) -> None:
    rows = (red, (1.0, -1.0), blue)  # (1, -1) keeps the columns apart
    reference = StainReference(name, io, rows, strongest)
    assert StainReference.from_json(reference.to_json()) == reference


def test_torchstain_has_the_constants_of_torchstain() -> None:
    package = pytest.importorskip("torchstain", reason="needs torchstain, in the extra 'test'")
    theirs = package.normalizers.MacenkoNormalizer(backend="numpy")
    assert (TORCHSTAIN.matrix == theirs.HERef).all()
    assert list(TORCHSTAIN.max_concentrations) == theirs.maxCRef.tolist()
    assert TORCHSTAIN.io == 240
    assert PAPER.io == 255


BAD = {
    "io": {"io": 0.0},
    "io that is no number": {"io": float("nan")},
    "infinite": {"max_concentrations": (1.0, float("inf"))},
    "negative": {"max_concentrations": (1.0, -1.0)},
    "one stain": {"stain_matrix": ((1.0, 2.0), (1.0, 2.0), (1.0, 2.0))},
    "two rows": {"stain_matrix": ((1.0, 0.0), (0.0, 1.0))},
    "three columns": {"stain_matrix": tuple(map(tuple, np.eye(3).tolist()))},
    "three maxima": {"max_concentrations": (1.0, 1.0, 1.0)},
}


@pytest.mark.parametrize("name", BAD)
def test_numbers_that_cannot_be_a_reference(name: str) -> None:
    with pytest.raises(InputError, match="'bad' cannot be used"):
        replace(TORCHSTAIN, **{"name": "bad", **BAD[name]})  # type: ignore[arg-type]


def without(key: str) -> str:
    content = json.loads(TORCHSTAIN.to_json())
    del content[key]
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        without("io"),
        TORCHSTAIN.to_json().replace('"io"', '"Io"'),
        TORCHSTAIN.to_json().replace("0.5626", '"red"'),
        TORCHSTAIN.to_json().replace("240.0", "null"),
    ],
)
def test_text_that_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="use the text that to_json wrote"):
        StainReference.from_json(text)

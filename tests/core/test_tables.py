"""Tables are converted or refused; a cell is never changed silently."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core import tables
from histograft.core.columns import Column, TableSpec, require_columns
from histograft.core.errors import InputError

SPECS = [value for value in vars(tables).values() if isinstance(value, TableSpec)]
SPEC = TableSpec(
    "example",
    (
        Column("name", "text", "a name"),
        Column("count", "integer", "how many"),
        Column("share", "number", "0-1", required=False, nullable=True),
        Column("whole", "integer", "pixels", required=False, nullable=True),
        Column("flag", "boolean", "yes or no", required=False),
    ),
    key=("name",),
)


def frame(**columns):
    return pd.DataFrame({"name": ["a", "b"], "count": [1, 2]} | columns)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_specifications_are_sound(spec):
    names = spec.column_names()
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in spec.columns)
    required = {c.name for c in spec.columns if c.required and not c.nullable}
    assert set(spec.key) <= required


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_empty_table_with_all_columns_passes(spec):
    checked = spec.check(pd.DataFrame(columns=spec.column_names()), "x")
    assert list(checked) == spec.column_names()


def test_known_columns_come_first_and_others_stay():
    checked = SPEC.check(frame(mine=[1, 2])[["mine", "count", "name"]], "x")
    assert list(checked) == ["name", "count", "mine"]
    assert str(checked["count"].dtype) == "int64"


def test_the_table_given_is_not_changed():
    given_table = frame(share=["0.5", ""])
    before = given_table.copy()
    SPEC.check(given_table, "x")
    pd.testing.assert_frame_equal(given_table, before)


def test_a_missing_column_is_named_with_those_found():
    with pytest.raises(InputError, match=r"t\.csv.*lacks.*count.*found: name"):
        SPEC.check(frame()[["name"]], "t.csv")
    with pytest.raises(InputError, match="found: none"):
        SPEC.check(pd.DataFrame(), "t.csv")
    with pytest.raises(InputError, match=r"lacks.*count"):
        require_columns(frame()[["name"]], ["name", "count"], "t.csv")


@pytest.mark.parametrize("empty", [None, "", "   ", pd.NA])
def test_an_empty_cell_is_named_by_row(empty):
    with pytest.raises(InputError, match=r"'name'.*data row 2.*a name"):
        SPEC.check(frame(name=["a", empty]), "t.csv")


def test_an_empty_count_is_an_input_error():
    with pytest.raises(InputError, match=r"'count'.*empty in data row 1"):
        SPEC.check(frame(count=["", "2"]), "t.csv")


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("count", ["1", "two"], r"data row 2: 'two' is not a number"),
        ("count", [1, 2.5], r"data row 2: .*2\.5.* is not a whole number"),
        ("whole", ["1.5", "2"], r"data row 1: '1\.5' is not a whole number"),
        ("whole", [float("inf"), 2], r"data row 1: .*inf.* is not a whole number"),
        ("share", ["0,5", "1"], r"data row 1: '0,5' is not a number"),
        ("flag", ["true", "perhaps"], r"data row 2: 'perhaps' is not true or false"),
    ],
)
def test_a_wrong_cell_is_named_and_not_rounded(column, cells, message):
    with pytest.raises(InputError, match=message):
        SPEC.check(frame(**{column: cells}), "t.csv")


def test_cells_are_converted_without_loss():
    checked = SPEC.check(
        frame(name=[" a ", "ö"], share=["0.1", None], whole=["7", ""], flag=["True", "0"]), "t.csv"
    )
    assert checked["name"].tolist() == ["a", "ö"]
    assert checked["share"].iloc[0] == 0.1
    assert checked["share"].isna().tolist() == [False, True]
    assert checked["whole"].iloc[0] == 7
    assert checked["whole"].isna().tolist() == [False, True]
    assert checked["flag"].tolist() == [True, False]


def test_a_key_that_occurs_twice_is_shown():
    with pytest.raises(InputError, match=r"2 rows.*first name 'a'"):
        SPEC.check(frame(name=["a", "a"]), "t.csv")


@given(
    st.lists(
        st.tuples(st.text("abcdefg", min_size=1), st.integers(-(2**50), 2**50)),
        unique_by=lambda row: row[0],
    ),
    st.booleans(),
)
def test_a_checked_table_passes_again_unchanged(rows, as_text):
    table = pd.DataFrame(rows, columns=["name", "count"])
    checked = SPEC.check(table.astype(str) if as_text else table, "x")
    assert checked["count"].tolist() == [count for _, count in rows]
    pd.testing.assert_frame_equal(SPEC.check(checked, "x"), checked)

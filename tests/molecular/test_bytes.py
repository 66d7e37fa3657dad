"""Tables as files come: compressed, damaged, with foreign line ends."""

import gzip
import io
import tarfile
import zipfile

import molecular_layouts as layouts
import pytest

from histograft.core.errors import InputError
from histograft.molecular.delimited import NUMBER, TEXT, open_delimited, read_columns
from histograft.molecular.maf import parse_maf

TABLE = layouts.maf([("TP53", "Silent", "P1"), ("KRAS", "Missense_Mutation", "P2")])


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def tarred(text):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("a.maf")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode(),
        b"\xef\xbb\xbf" + TABLE.encode(),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.rstrip("\n").encode(),
        gzip.compress(TABLE.encode()),
        gzip.compress(TABLE[:50].encode()) + gzip.compress(TABLE[50:].encode()),
        zipped(a=TABLE),
        zipped(**{"a.maf": TABLE, "__MACOSX/._a.maf": "x"}),
    ],
    ids=["plain", "mark", "windows", "no-last-end", "gzip", "two-gzip", "zip", "mac-zip"],
)
def test_a_table_is_read_however_it_is_packed(data):
    rows = parse_maf(io.BytesIO(data), "a").rows
    assert rows["gene"].tolist() == ["TP53", "KRAS"]
    assert rows["sample_id"].tolist() == ["P1", "P2"]


class Pipe(io.RawIOBase):
    """A stream without seeking."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(buffer)


@pytest.mark.parametrize("data", [TABLE.encode(), zipped(a=TABLE)])
def test_a_stream_without_seeking_will_do_and_stays_open(data):
    pipe = Pipe(data)
    assert len(parse_maf(pipe, "pipe").rows) == 2
    assert not pipe.closed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"#version 2.4\n", "no header"),
        (gzip.compress(TABLE.encode() * 50)[:-20], "damaged or cut short"),
        (gzip.compress(TABLE.encode())[:12] + b"\x07" * 40, "damaged or cut short"),
        (gzip.compress(b""), "no header"),
        (zipped(a=TABLE, b=TABLE), "holds 2 files"),
        (zipped(**{"[Content_Types].xml": "", "xl/a.xml": ""}), "spreadsheet"),
        (b"PK\x03\x04nonsense", "damaged or cut short"),
        (b"\xd0\xcf\x11\xe0....", "spreadsheet"),
        (gzip.compress(tarred(TABLE)), "tar archive"),
        (TABLE.encode("utf-16"), "UTF-16"),
        (TABLE.replace("\n", "\r").encode(), "old Macs"),
        (b"\x00\x01\x02\n", "not a text file"),
        (TABLE.replace("\t", ",").encode(), "separated by commas, not by tabs"),
        (TABLE.replace("KRAS", "KR\xc4S").encode("latin-1"), "line 4: not UTF-8"),
        (TABLE.encode()[: TABLE.index("KRAS") + 9], "line 4: 4 cells.*18 names"),
        ((TABLE + "KRAS" + "\t" * 30 + "\n").encode(), "line 5: 31 cells"),
    ],
    ids=range(17),  # of bytes there would be, with the time of compression in them
)
def test_what_cannot_be_read_is_said_with_a_remedy(data, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_maf(io.BytesIO(data), "a.maf")
    assert str(caught.value).startswith("a.maf")
    assert caught.value.fix


def test_the_line_of_a_cell_that_is_no_number():
    text = "# one\n\ngene\tP1\nTP53\t1\nKRAS\t2,5\n"
    table = open_delimited(layouts.stream(text), "a.tsv")
    with pytest.raises(InputError, match=r"a.tsv, line 5, column 'P1': '2,5' is not a number"):
        read_columns(table, {0: TEXT, 1: NUMBER})


def test_a_header_without_a_cell_above_names_of_rows_as_r_writes_it():
    text = '"P1"\t"P2"\n"TP53"\t1\tNA\n"KRAS"\t3\t4\n'
    table = open_delimited(layouts.stream(text), "from R")
    assert table.header == ("", "P1", "P2")
    cells = read_columns(table, {0: TEXT, 2: NUMBER})
    assert cells[0].to_pylist() == ["TP53", "KRAS"]
    assert cells[2].to_pylist() == [None, 4]


def test_separators_at_the_end_of_rows_move_nothing():
    text = "gene\tP1\nTP53\t1\t\nKRAS\t3\t\n"
    table = open_delimited(layouts.stream(text), "a.tsv")
    assert read_columns(table, {1: NUMBER})[1].to_pylist() == [1, 3]

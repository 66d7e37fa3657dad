"""The table of slides that a user passes."""

import pytest

from histograft.core.errors import InputError
from histograft.verbs.slides import fingerprint, read_slides


def table(folder, text, name="slides.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_what_is_stated_and_leaves_the_rest_open(tmp_path):
    path = table(
        tmp_path,
        f"\ufeffslide_id,file,patient_id,mpp,annotations\n"
        f"a,sub/a.svs,p1,0.25,a.geojson\nb,{tmp_path.parent}/b.svs,,,\n",
    )
    first, second = read_slides(path)
    assert (first.slide_id, first.patient_id, first.mpp) == ("a", "p1", 0.25)
    assert first.path == tmp_path / "sub/a.svs"
    assert first.annotations == tmp_path / "a.geojson"
    assert (second.patient_id, second.mpp, second.annotations) == (None, None, None)
    assert second.path == tmp_path.parent / "b.svs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide_id,file\n", "names no slide"),
        ("slide_id;file\na;b.svs\n", "separated by semicolons"),
        ("slide,file\na,b.svs\n", "slide_id"),
        ("slide_id,file\na,a.svs\na,b.svs\n", "share a key"),
        ("slide_id,file\na,a.svs\nb,./a.svs\n", "a and b are the same file"),
        ("slide_id,file\na,../a.svs\n", "leads out of the table's folder"),
        ("slide_id,file\na/b,a.svs\n", "cannot name a file"),
        ("slide_id,file\n..,a.svs\n", "cannot name a file"),
        ("slide_id,file,mpp\na,a.svs,fine\n", "mpp"),
        ("slide_id,file\na,\n", "file"),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_slides(table(tmp_path, text))


def test_a_folder_of_slides_names_them_by_their_files(tmp_path):
    for name in ("b.svs", "a.NDPI", "notes.txt"):
        (tmp_path / name).touch()
    assert [entry.slide_id for entry in read_slides(tmp_path)] == ["a", "b"]
    (tmp_path / "a.tif").touch()
    with pytest.raises(InputError, match="several slides are called a"):
        read_slides(tmp_path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_slides(tmp_path / "none.csv")
    with pytest.raises(InputError, match="holds no slide"):
        read_slides(tmp_path)


def write_dicom(path, series, rest=b""):
    """What is looked at of a DICOM file: the element (0020,000E), which names its series."""
    uid = series.encode()
    path.write_bytes(b"\x20\x00\x0e\x00UI" + len(uid).to_bytes(2, "little") + uid + rest)
    return path


def test_dicom_files_of_one_series_are_one_slide_of_a_folder(tmp_path):
    for name in ("b.dcm", "a.DCM", "c.dcm"):
        write_dicom(tmp_path / name, "1.2.3")
    write_dicom(tmp_path / "d.dcm", "1.2.4")
    (tmp_path / "unknown.dcm").write_bytes(b"no series in it")
    (tmp_path / "unknown2.dcm").touch()
    found = [entry.path.name for entry in read_slides(tmp_path)]
    assert found == ["a.DCM", "d.dcm", "unknown.dcm", "unknown2.dcm"]


def test_two_dicom_files_of_one_series_in_a_table_are_refused(tmp_path):
    for name, series in (("1.dcm", "1.2.3"), ("2.dcm", "1.2.4"), ("3.dcm", "1.2.3")):
        write_dicom(tmp_path / name, series)
    apart = "slide_id,file\na,1.dcm\nb,2.dcm\nc,absent.dcm\nd,gone.dcm\n"
    assert len(read_slides(table(tmp_path, apart))) == 4
    with pytest.raises(InputError, match=r"a \(1\.dcm\) and e \(3\.dcm\).* one DICOM series"):
        read_slides(table(tmp_path, apart + "e,3.dcm\n"))


def test_files_of_other_slides_do_not_change_a_fingerprint(tmp_path):
    first = write_dicom(tmp_path / "1.dcm", "1.2.3")
    alone = fingerprint(first)
    write_dicom(tmp_path / "other.dcm", "1.2.4")
    assert fingerprint(first) == alone
    second = write_dicom(tmp_path / "2.dcm", "1.2.3")
    both = fingerprint(first)
    assert both != alone
    write_dicom(second, "1.2.3", b"more")
    assert fingerprint(first) not in (alone, both)


def test_a_fingerprint_sees_both_ends_and_the_size(tmp_path):
    path = tmp_path / "a.svs"
    seen = set()
    for data in (b"a" * 10**6, b"b" + b"a" * (10**6 - 1), b"a" * (10**6 - 1) + b"b", b"a" * 10**7):
        path.write_bytes(data)
        seen.add(fingerprint(path))
    assert len(seen) == 4

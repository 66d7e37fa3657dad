"""What is wrong on disk is found and called by its name."""

import json
import re

import h5py
import numpy as np
import pytest

from histograft.core.artefact import claim
from histograft.core.errors import ArtefactError
from histograft.core.verify import find_artefacts, verify


def make(folder, identity, write=None):
    with claim(folder, identity) as draft:
        draft.write_text("a.txt", "abc")
        draft.write_text("sub/b.txt", "def")
        if write is not None:
            write(draft)
        return draft.finish()


def found(folder):
    return [(f.file, f.problem) for result in verify(folder) for f in result.findings]


def test_a_whole_artefact_has_no_findings(tmp_path, identity):
    make(tmp_path / "p", identity)
    (result,) = verify(str(tmp_path / "p"))
    assert (result.path, result.kind) == (tmp_path / "p", "patches")
    assert (result.n_files, result.n_bytes, result.findings) == (2, 6, ())


@pytest.mark.parametrize(
    ("damage", "problem", "detail"),
    [
        (lambda path: path.unlink(), "missing", "3 bytes expected"),
        (lambda path: path.write_text("de"), "truncated", "2 bytes, 3 expected"),
        (lambda path: path.write_text(""), "truncated", "0 bytes, 3 expected"),
        (lambda path: path.write_text("defg"), "grown", "4 bytes, 3 expected"),
        (lambda path: path.write_text("dEf"), "changed", "SHA-256 .*… expected"),
    ],
    ids=["missing", "truncated", "emptied", "grown", "changed"],
)
def test_damage_of_one_file(tmp_path, identity, damage, problem, detail):
    made = make(tmp_path / "p", identity)
    damage(made.path / "sub" / "b.txt")
    (result,) = verify(tmp_path)
    (finding,) = result.findings
    assert (finding.artefact, finding.file, finding.problem) == (made.path, "sub/b.txt", problem)
    assert re.search(detail, finding.detail)


def test_all_damage_is_told_at_once(tmp_path, identity):
    made = make(tmp_path / "p", identity)
    (made.path / "a.txt").unlink()
    (made.path / "sub" / "b.txt").write_text("x")
    (made.path / "sub" / "new.txt").write_text("x")
    assert found(made.path) == [
        ("a.txt", "missing"), ("sub/b.txt", "truncated"), ("sub/new.txt", "unlisted"),
    ]  # fmt: skip


def test_a_folder_in_place_of_a_file_is_missing(tmp_path, identity):
    made = make(tmp_path / "p", identity)
    (made.path / "a.txt").unlink()
    (made.path / "a.txt").mkdir()
    assert found(made.path) == [("a.txt", "missing")]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "schema"])
def test_a_manifest_that_cannot_be_read(tmp_path, identity, text):
    made = make(tmp_path / "p", identity)
    (made.path / "manifest.json").write_text(text)
    (result,) = verify(made.path)
    assert (result.kind, result.findings[0].problem) == ("", "unreadable")
    assert result.findings[0].file == "manifest.json"


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"files": {"a.txt": 3}},
        {"files": {"a.txt": {"size": 3, "md5": "x"}}},
        {"inputs": [{"role": "x"}]},
        {"inputs": None},
        {"config": [1]},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape(tmp_path, identity, change):
    made = make(tmp_path / "p", identity)
    (made.path / "manifest.json").write_text(json.dumps(made.manifest | change))
    assert ("manifest.json", "unreadable") in found(made.path)


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"config": {"patch_px": 512}}, {"verb_version": 2}, {"id": "0" * 64}]
)
def test_a_manifest_that_was_edited(tmp_path, identity, change):
    made = make(tmp_path / "p", identity)
    (made.path / "manifest.json").write_text(json.dumps(made.manifest | change))
    assert found(made.path) == [("manifest.json", "changed")]


def test_unfinished_work(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
    (result,) = verify(tmp_path)
    assert [(f.file, f.problem) for f in result.findings] == [("unfinished.json", "unfinished")]
    assert "again" in result.findings[0].detail


def test_artefacts_at_all_depths_are_found(tmp_path, identity, make_identity):
    make(tmp_path / "run" / "patches" / "colon", identity)
    with claim(tmp_path / "run" / "network", make_identity(kind="network")) as draft:
        inner = make(draft.path / "step1", make_identity(seed=1))
        draft.finish()
    (inner.path / "a.txt").write_text("xyz")
    results = verify(tmp_path)
    names = [str(result.path.relative_to(tmp_path)) for result in results]
    assert names == ["run/network", "run/network/step1", "run/patches/colon"]
    assert [len(result.findings) for result in results] == [0, 1, 0]
    assert list(find_artefacts(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_where_nothing_lies(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtefactError, match=f"no artefact lies at or below .*{name}"):
        verify(tmp_path / name)


def features(folder, identity, values, name="m.h5", **others):
    def write(draft):
        with draft.writing(name) as path, h5py.File(path, "w") as file:
            file["features"] = values
            for key, value in others.items():
                file[key] = value

    return make(folder, identity, write)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(tmp_path, make_identity, value):
    values = np.zeros((5, 3), np.float32)
    values[1, 0] = values[1, 2] = values[4, 1] = value
    made = features(tmp_path / "f", make_identity(kind="features"), values)
    (result,) = verify(made.path)
    (finding,) = result.findings
    assert (finding.file, finding.problem) == ("m.h5", "not finite")
    assert finding.detail.startswith("2 row(s) of 'features'")


def test_only_floats_of_features_are_looked_at(tmp_path, make_identity):
    kind = make_identity(kind="features")
    whole = {"coords": np.zeros((4, 2), np.int64), "status": np.zeros(4, np.uint8), "mpp": 0.5}
    assert found(features(tmp_path / "1", kind, np.zeros((4, 2)), **whole).path) == []
    assert found(features(tmp_path / "2", kind, np.zeros((0, 3))).path) == []
    assert found(features(tmp_path / "3", kind, np.array([1.0, np.nan])).path) == [
        ("m.h5", "not finite")
    ]
    # In another kind of artefact an HDF5 file is any file.
    assert found(features(tmp_path / "4", make_identity(), np.array([np.nan])).path) == []


def test_a_feature_file_that_is_no_hdf5(tmp_path, make_identity):
    made = make(
        tmp_path / "f", make_identity(kind="features"), lambda d: d.write_text("m.h5", "text")
    )
    assert found(made.path) == [("m.h5", "unreadable")]


def test_a_file_that_may_not_be_read(tmp_path, identity, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied")

    made = make(tmp_path / "p", identity)
    monkeypatch.setattr("histograft.core.verify.hash_file", fail)
    assert found(made.path) == [("a.txt", "unreadable"), ("sub/b.txt", "unreadable")]

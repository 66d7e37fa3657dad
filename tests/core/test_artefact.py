"""An artefact says what it is, and its id follows from that and nothing else."""

import getpass
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    Input,
    claim,
    hash_json,
    is_artefact,
    list_files,
    open_artefact,
)
from histograft.core.errors import ArtefactError, InputError
from histograft.core.files import FileRecord, hash_file, write_bytes


def make(folder, identity, files=None, facts=None):
    with claim(folder, identity) as draft:
        for name, text in (files or {"a.txt": "a"}).items():
            draft.write_text(name, text)
        return draft.finish(facts)


def edit(folder, **changes):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | changes))


def test_the_id_is_pinned(identity):
    # printf '{"config":{"patch_px":224,"preset":["a",null],"target_mpp":0.5},"inputs":[["samples",
    # "samples","00ff"]],"kind":"patches","seed":0,"verb":"standardize","verb_version":1}' without
    # the line break, | sha256sum
    assert identity.id == "a39a4ac395937b9b9ac99e18e21114d7787399526e529df00d824db6eaaaabcb"


def test_the_same_work_has_the_same_id(make_identity, identity):
    reordered = {"preset": ("a", None), "target_mpp": 0.5, "patch_px": 224}
    assert make_identity(config=reordered).id == identity.id
    renamed = (Input("samples", "samples", "00ff", "another folder's name"),)
    assert make_identity(inputs=renamed).id == identity.id


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "features"},
        {"verb": "embed"},
        {"verb_version": 2},
        {"seed": 1},
        {"seed": None},
        {"config": {"patch_px": 225, "target_mpp": 0.5, "preset": ["a", None]}},
        {"config": {"patch_px": 224, "target_mpp": 0.5, "preset": ["a"]}},
        {"config": {"patch_px": 224, "target_mpp": 0.5, "preset": ["a", None], "new": None}},
        {"config": {"patch_px": "224", "target_mpp": 0.5, "preset": ["a", None]}},
        {"inputs": ()},
        {"inputs": (Input("samples", "samples", "00fe", "colon"),)},
        {"inputs": (Input("fit_on", "samples", "00ff", "colon"),)},
        {"inputs": (Input("samples", "patches", "00ff", "colon"),)},
        {"inputs": (Input("samples", "samples", "00ff", "colon"),) * 2},
    ],
    ids=str,
)
def test_other_work_has_another_id(make_identity, identity, change):
    assert make_identity(**change).id != identity.id


def test_the_order_of_inputs_matters(make_identity):
    one, two = Input("features", "features", "1"), Input("features", "features", "2")
    assert make_identity(inputs=(one, two)).id != make_identity(inputs=(two, one)).id


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, -float("inf")]])
def test_a_setting_that_is_no_number_is_an_input_error(value):
    with pytest.raises(InputError, match="lr is NaN or infinite"):
        hash_json({"config": {"epochs": 1, "lr": value}})


def test_such_a_setting_leaves_no_folder(tmp_path, make_identity):
    with pytest.raises(InputError, match="c is NaN"):
        claim(tmp_path / "p", make_identity(config={"c": float("nan")}))
    assert not (tmp_path / "p").exists()


def test_an_identity_comes_back_from_a_manifest(identity):
    copy = Identity.from_json(json.loads(json.dumps(identity.as_json())))
    assert copy == identity
    assert copy.id == identity.id


def test_a_finished_artefact_can_be_opened(tmp_path, identity):
    with claim(tmp_path / "deep" / "p", identity) as draft:
        assert isinstance(draft, Draft)
        assert not draft.resumed
        with draft.writing("t/table.csv") as path:
            path.write_text("1,2\n")
        draft.write_json("Gewebe Ä.json", {"ä": [1]})
        draft.record("c.bin", write_bytes(draft.path / "c.bin", b"xyz"))
        (draft.path / "unrecorded.txt").write_text("found by itself")
        (draft.work / "checkpoint").write_text("gone")
        assert not is_artefact(draft.path)
        made = draft.finish({"n_patches": 3}, {"workers": 2})
    opened = open_artefact(str(tmp_path / "deep" / "p"), "patches")
    assert opened == made
    assert (opened.kind, opened.id, opened.facts) == ("patches", identity.id, {"n_patches": 3})
    assert opened.manifest["execution"] == {"workers": 2}
    assert set(opened.files) == {"t/table.csv", "Gewebe Ä.json", "c.bin", "unrecorded.txt"}
    for name, record in opened.files.items():
        assert record == hash_file(opened.file(name)), name
    assert opened.as_input("patches") == Input("patches", "patches", identity.id, "p")
    on_disk = sorted(p.name for p in opened.path.iterdir())
    assert on_disk == ["Gewebe Ä.json", "c.bin", "manifest.json", "t", "unrecorded.txt"]


def test_the_manifest_tells_nothing_of_the_machine(tmp_path, identity):
    made = make(tmp_path / "somebody" / "p", identity, facts={"classes": ["Ä"]})
    text = (made.path / "manifest.json").read_text(encoding="utf-8")
    assert "Ä" in text
    for private in (str(tmp_path), "somebody", str(Path.home()), socket.gethostname()):
        assert private not in text
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)
    assert not re.search(r'"/', text)
    needed = {"schema", "kind", "id", "verb", "verb_version", "config", "inputs", "seed"}
    assert set(json.loads(text)) == needed | {"packages", "execution", "facts", "files"}
    assert {"python", "histograft", "numpy"} <= set(json.loads(text)["packages"])


def test_facts_must_be_json(tmp_path, identity):
    for broken in (float("nan"), np.float64("inf"), object()):
        with claim(tmp_path / "p", identity) as draft, pytest.raises((ValueError, TypeError)):
            draft.finish({"loss": broken})
        assert not is_artefact(tmp_path / "p")


def test_two_runs_write_the_same_manifest(tmp_path, identity):
    make(tmp_path / "one", identity)
    make(tmp_path / "two", identity)
    first, second = ((tmp_path / n / "manifest.json").read_bytes() for n in ("one", "two"))
    assert first == second


def test_another_kind_is_refused(tmp_path, identity):
    make(tmp_path / "p", identity)
    with pytest.raises(ArtefactError, match="is a patches artefact, not network"):
        open_artefact(tmp_path / "p", "network")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1, "kind": "pat', "is not JSON"),
        ("", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "schema None"),
        ('{"schema": "1"}', "schema '1'"),
        ('{"schema": 2}', "schema 2; this histograft reads up to 1.*newer histograft"),
        ('{"schema": 1, "kind": "patches"}', "lacks config, files, id, verb"),
    ],
)
def test_a_manifest_that_cannot_be_used(tmp_path, identity, text, message):
    made = make(tmp_path / "p", identity)
    (made.path / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match=message):
        open_artefact(made.path)
    with pytest.raises(ArtefactError, match=message):
        claim(made.path, identity)


def test_a_manifest_that_is_not_text(tmp_path, identity):
    made = make(tmp_path / "p", identity)
    (made.path / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtefactError, match="is not JSON"):
        open_artefact(made.path)


@pytest.mark.parametrize("where", ["nothing", "empty", "file"])
def test_where_there_is_no_artefact(tmp_path, where):
    path = tmp_path / where
    if where == "empty":
        path.mkdir()
    elif where == "file":
        path.write_text("x")
    with pytest.raises(ArtefactError, match="holds no artefact"):
        open_artefact(path)


def test_an_unfinished_artefact_cannot_be_opened(tmp_path, identity):
    with claim(tmp_path / "p", identity):
        pass
    with pytest.raises(ArtefactError, match=r"is unfinished.*run the command.*again"):
        open_artefact(tmp_path / "p")


def test_a_damaged_file_is_not_handed_out(tmp_path, identity):
    made = make(tmp_path / "p", identity, {"a.txt": "abc", "b.txt": "abc"})
    (made.path / "a.txt").write_text("ab")
    (made.path / "b.txt").unlink()
    for name in ("a.txt", "b.txt", "never.txt"):
        with pytest.raises(ArtefactError, match=rf"{name} is missing or damaged.*verify"):
            made.file(name)


def test_an_artefact_below_another_is_its_own(tmp_path, make_identity, identity):
    with claim(tmp_path / "network", identity) as outer:
        inner = make(outer.path / "step1", make_identity(seed=7), {"inner.txt": "i"})
        outer.write_text("outer.txt", "o")
        (outer.path / "sub").mkdir()
        (outer.path / "sub" / "plain.txt").write_text("p")
        with claim(outer.path / "begun", make_identity(seed=8)) as begun:
            begun.write_text("half.txt", "h")
        made = outer.finish()
    assert set(made.files) == {"outer.txt", "sub/plain.txt"}
    assert set(open_artefact(inner.path).files) == {"inner.txt"}


def test_files_that_do_not_belong_are_not_listed(tmp_path):
    for name in (
        ".partial-1-x.png",
        ".work/c.bin",
        "manifest.json",
        "unfinished.json",
        "b/.work/d",
    ):
        write_bytes(tmp_path / name, b"x")
    for name in ("b/a.txt", "a.txt", ".hidden"):
        write_bytes(tmp_path / name, b"x")
    assert list_files(tmp_path) == [".hidden", "a.txt", "b/a.txt"]


def test_many_files_open_in_one_pass(tmp_path):
    files = {f"{i}.png": {"size": 0, "sha256": ""} for i in range(50_000)}
    made = Artefact(tmp_path, {"kind": "patches", "id": "0", "files": files})
    assert made.files is made.files  # parsed once, not once for each file that is asked for
    assert made.files["7.png"] == FileRecord(0, "")


def test_a_folder_of_artefacts_names_them(tmp_path):
    for name in ("a", "b"):
        with claim(tmp_path / "all" / name, Identity("features", "embed", 1, {"n": name})) as draft:
            draft.finish()
    with pytest.raises(ArtefactError, match=r"no artefact but holds some.*all/a, .*all/b"):
        open_artefact(tmp_path / "all")

"""Options that mean nothing for what a verb was given are not passed over in silence."""

import pytest

EMBED = ("embed", "--patches", "p", "--out", "o", "--weights", "random", "--arch", "resnet10t")
PATCHES = ("predict", "--features", "f", "--out", "o")
PATIENTS = (*PATCHES, "--mutations", "m")
VALUES = (*PATCHES, "--expression", "e")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*EMBED, "--stain", "macenko-tile", "--tile-px", 64), "--tile-px is for slides"),
        ((*EMBED, "--target-mpp", 1), "--target-mpp is for slides"),
        ((*EMBED, "--target-mpp", 1, "--overlap", 0.5), "--target-mpp and --overlap are for"),
        ((*EMBED, "--keep-going"), "--keep-going is for slides"),
        (("embed", "--patches", "p", "--out", "o", "--network", "n", "--arch", "a"), "--arch is"),
        ((*PATCHES, "--n-genes", 3), "--n-genes is for --mutations or --expression"),
        ((*PATCHES, "--genes", "g"), "--genes is for --mutations or --expression"),
        ((*PATCHES, "--transform", "none"), "--transform is for --mutations"),
        ((*PATCHES, "--sample-sheet", "s"), "--sample-sheet is for --mutations or"),
        ((*PATIENTS, "--transform", "none"), "--transform is for --expression"),
        ((*PATIENTS, "--orientation", "genes-in-rows"), "--orientation is for --expression"),
        ((*VALUES, "--variant-classes", "any"), "--variant-classes is for --mutations"),
        ((*PATIENTS, "--probe", "knn"), "--probe is for patches"),
        ((*PATIENTS, "--no-groups"), "--groups is for patches"),
    ],
)
def test_what_belongs_to_the_other_kind_is_refused(tmp_path, monkeypatch, tools, words, said):
    monkeypatch.chdir(tmp_path)
    outcome = tools.run(*words)
    assert outcome.code == (2 if words[0] == "embed" else 1)
    assert said in " ".join(outcome.err.split())
    assert "to fix it: leave" in outcome.err


def test_what_a_preset_may_have_set_is_told(tmp_path, standardized, tools):
    patches = standardized(tools.write_set(tmp_path / "set"))
    words = ("--weights", "random", "--arch", "resnet10t", "--patches", patches, "--device", "cpu")
    made = tools.ok("embed", *words, "--preset", "paper", "--out", tmp_path / "paper")
    assert "--target-mpp and --stain and --stain-constants are for slides" in made.err
    plain = tools.ok("embed", *words, "--out", tmp_path / "plain")
    assert "for slides" not in plain.err
    assert tools.content(tmp_path / "paper") == tools.content(tmp_path / "plain")


def test_points_given_twice_come_with_a_remedy(tools):
    outcome = tools.run(*EMBED, "--points", "gap", "--points", "gap")
    assert outcome.code == 2
    assert "--points gap gap names one twice" in outcome.err
    assert "to fix it: give each once" in outcome.err

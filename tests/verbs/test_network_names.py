"""Networks are called so that a table can tell them apart."""

from pathlib import Path

import pytest

from histograft.core.errors import InputError
from histograft.verbs.networks import extractor_names, network_name


@pytest.fixture
def paths(tmp_path):
    """Make folders and files and return their paths."""

    def make(*names):
        made = [tmp_path / name for name in names]
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if path.suffix else path.mkdir(exist_ok=True)
        return [str(path) for path in made]

    return make


def test_a_folder_that_a_recipe_named_bears_the_name_of_its_run(tmp_path, monkeypatch):
    (tmp_path / "run" / "network").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "run" / "network")
    assert network_name(Path()) == "run"
    assert network_name(Path("/network")) == "network"  # there is nothing above
    assert network_name(Path("/network/step1")) == "network-step1"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("a/network", "b/network"), ["a", "b"]),
        (("a/tuned", "b/tuned"), ["a-tuned", "b-tuned"]),
        (("a/network", "a/network/step1"), ["a", "a-step1"]),
        (("x/a/network", "y/a/network"), ["x-a", "y-a"]),
        (("a/vit.safetensors", "b/vit.pth"), ["a-vit", "b-vit"]),
        (("a/ftx", "b/other"), ["a-ftx", "other"]),
    ],
)
def test_clashes_are_resolved_by_the_folder_above(paths, given, names):
    assert extractor_names(paths(*given), taken=("imgnet", "ftx")) == names


@pytest.mark.parametrize("given", [("a/network",) * 2, ("x/a/n", "y/a/n"), ("a/w.pth", "a/w.pt")])
def test_what_cannot_be_told_apart_is_an_error(paths, given):
    with pytest.raises(InputError, match=r"two extractors are called.*rename"):
        extractor_names(paths(*given))


def test_a_timm_name_cannot_be_renamed(paths):
    assert extractor_names(["resnet50", *paths("a/resnet50")]) == ["resnet50", "a-resnet50"]
    with pytest.raises(InputError, match="two extractors are called UNI"):
        extractor_names(["hf-hub:one/UNI", "hf-hub:other/UNI"])

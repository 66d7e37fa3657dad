"""Where a verb's network comes from, and how a network artefact is read and written."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft, Input, is_artefact, open_artefact
from histograft.core.errors import InputError
from histograft.verbs.model_card import CARD, model_card

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.network import Network, NetworkSpec
    from histograft.learning.weights import OpenedWeights

WEIGHTS = "network.safetensors"
SPECIFICATION = "network.json"
TUNED_ON = "tuned_on.parquet"
STEP_1 = "step1"  # folder of the first of two steps, below the network that they made
WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".h5")


@dataclass(frozen=True)
class Start:
    """First weights of a network.

    Attributes
    ----------
    kind : str
        ``random``, ``imagenet``, ``file`` or ``network``.
    artefact : Artefact or None
        The network artefact, for kind ``network``.
    opened : OpenedWeights or None
        The weights of Part A, for kinds ``imagenet`` and ``file``.
    architecture : str
        timm name.
    kwargs : dict
        Keyword arguments of the architecture.
    record : Input
        What goes into the identity of the artefact that is made.
    spec : NetworkSpec or None
        Of the network artefact, for kind ``network``.
    """

    kind: str
    artefact: Artefact | None
    opened: OpenedWeights | None
    architecture: str
    kwargs: dict[str, Any]
    record: Input
    spec: NetworkSpec | None = None

    @property
    def assumed(self) -> tuple[str, ...]:
        """Facts of a weights file that nobody stated."""
        return () if self.opened is None else self.opened.assumed


def find_start(
    init: str,
    architecture: str | None,
    arch_kwargs: str = "",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Start:
    """Find the first weights that a user means.

    Parameters
    ----------
    init : str
        ``random``, ``imagenet``, the folder of a network artefact, or a file of weights.
    architecture : str or None
        timm name; needed unless `init` states it.
    arch_kwargs : str
        Keyword arguments of the architecture as a JSON object, empty for none.
    mean, std : sequence of float, optional
        Normalization of the input where a weights file does not state it.

    Returns
    -------
    Start
        With the weights opened and checked.

    Raises
    ------
    InputError
        They cannot be found, opened, or do not fit.
    """
    kwargs = parse_kwargs(arch_kwargs)
    path = Path(init)
    if is_artefact(path):
        if kwargs or mean is not None or std is not None:
            raise InputError(
                f"{path} is a network artefact, which states its arguments, mean and std itself",
                "leave out --arch-kwargs, --mean and --std",
            )
        return _from_artefact(path, architecture)
    if init == "random":
        from histograft.learning.architectures import create_part_a

        name = _need(architecture, init)
        create_part_a(name, kwargs)  # refuses an unknown one before any work
        return Start("random", None, None, name, kwargs, Input("start", "random", "random"))
    if init == "imagenet":
        from histograft.learning.weights import imagenet_weights

        opened = imagenet_weights(_need(architecture, init), kwargs)
        record = Input("start", "weights", opened.sha256, "imagenet")
        return Start("imagenet", None, opened, opened.architecture, opened.kwargs, record)
    if path.is_file():
        from histograft.learning.weights import open_weights

        if is_artefact(path.parent):
            raise InputError(
                f"{path} belongs to a network artefact, which knows what it was tuned on",
                f"give the folder: {path.parent}",
            )
        opened = open_weights(
            path, architecture=architecture, kwargs=kwargs or None, mean=mean, std=std
        )
        record = Input("start", "weights", opened.sha256, path.name)
        return Start("file", None, opened, opened.architecture, opened.kwargs, record)
    if path.is_dir():
        raise InputError(
            f"{init} is a folder without a manifest.json, so no finished network artefact",
            "give the folder that `histograft train` finished, or a file of weights",
        )
    if path.suffix in WEIGHT_ENDINGS or "/" in init:
        raise InputError(f"the weights file {init} is not there", "correct its path")
    near = difflib.get_close_matches(init, ("random", "imagenet"), n=1)
    raise InputError(
        f"{init!r} is no file of weights and no network artefact",
        (f"did you mean {near[0]!r}? " if near else "")
        + "give random, imagenet, a file, or the folder of a finished network",
    )


def parse_kwargs(text: str) -> dict[str, Any]:
    """Parse keyword arguments of an architecture, a JSON object.

    Examples
    --------
    >>> parse_kwargs('{"pad_type": "same", "bn_eps": 0.001}')
    {'pad_type': 'same', 'bn_eps': 0.001}
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"--arch-kwargs {text!r} is not JSON ({error})",
            """write it like --arch-kwargs '{"pad_type": "same", "bn_eps": 0.001}'""",
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"--arch-kwargs {text!r} is not a JSON object")
    return value


def network_name(path: Path) -> str:
    """Name a network for tables by its folder, or by its run where a recipe named the folder.

    Examples
    --------
    >>> network_name(Path("lung/tuned")), network_name(Path("lung/network"))
    ('tuned', 'lung')
    >>> network_name(Path("lung/network/step1"))
    'lung-step1'
    """
    whole = path.resolve()
    if whole.name == STEP_1:
        return f"{network_name(whole.parent)}-{STEP_1}"
    return whole.parent.name if whole.name == "network" and whole.parent.name else whole.name


def extractor_names(sources: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Name networks, files of weights and timm names so that tables can tell them apart.

    Where two would be called alike, the folder above is put before their names.

    Parameters
    ----------
    sources : sequence of str
        Folders of network artefacts, files of weights, or names such as ``hf-hub:ORG/NAME``.
    taken : collection of str
        Names that others bear already.

    Returns
    -------
    list of str
        One name for each source.

    Raises
    ------
    InputError
        Two have one name even so.

    Examples
    --------
    >>> extractor_names(["resnet50", "hf-hub:bioptimus/H-optimus-0"])
    ['resnet50', 'H-optimus-0']
    """
    names = [_source_name(source) for source in sources]
    alike = {name for name in names if names.count(name) > 1} | set(taken)
    for index, source in enumerate(sources):
        if names[index] in alike and Path(source).exists():
            whole = Path(source).resolve()
            above = whole.parent.parent if whole.name in ("network", STEP_1) else whole.parent
            names[index] = f"{above.name}-{names[index]}"
    for index, name in enumerate(names):
        if name in taken or name in names[:index]:
            raise InputError(
                f"two extractors are called {name} ({sources[index]} is one)",
                "rename its folder or file, so that tables can tell them apart, or give it once",
            )
    return names


def _source_name(source: str) -> str:
    path = Path(source)
    if path.is_dir():
        return network_name(path)
    return path.stem if path.is_file() else source.removeprefix("hf-hub:").split("/")[-1]


def load_network(artefact: Artefact) -> Network:
    """Load the network of a network artefact, in evaluation mode."""
    from histograft.learning.network_files import read_network

    return read_network(artefact.file(WEIGHTS), load_spec(artefact))


def load_spec(artefact: Artefact) -> NetworkSpec:
    """Load the specification of a network artefact."""
    from histograft.learning.network import NetworkSpec

    value = json.loads(artefact.file(SPECIFICATION).read_text(encoding="utf-8"))
    return NetworkSpec.from_json(json.dumps(value["network"]))


def write_network_files(
    draft: Draft, network: Network, trained: dict[str, Any], *, card: str | None = None
) -> None:
    """Write weights, specification and card of a network into a draft.

    Parameters
    ----------
    draft : Draft
        Of kind ``network``.
    network : Network
        The network.
    trained : dict
        How it was trained, for people: JSON values; ``on`` names the patches, ``scale`` their
        scale where µm/px are unknown.
    card : str, optional
        Its card, where the draft only copies a network that has one.
    """
    from histograft.learning.network_files import write_network

    with draft.writing(WEIGHTS) as path:
        write_network(path, network)
    spec = json.loads(network.spec.to_json())
    draft.write_json(
        SPECIFICATION,
        {
            "network": spec,
            "feature_points": {p: network.feature_size(p) for p in network.points},
            "stages": list(network.stages),
            "cam_layer": network.cam_layer,
            "trained": trained,
        },
    )
    scale = {"scale": str(trained["scale"])} if "scale" in trained else {}
    on = str(trained.get("on", "patches"))
    draft.write_text(CARD, card or model_card(network, draft.identity, on, **scale))


def tuned_on(artefact: Artefact) -> set[tuple[str, str]]:
    """Return what a network's weights have seen: pairs of (kind, key).

    Kinds are ``image`` (SHA-256 of a source image) and ``group`` (data set and group).
    """
    import pandas as pd

    table = pd.read_parquet(artefact.file(TUNED_ON))
    return set(zip(table["kind"], table["key"], strict=True))


def group_key(dataset: str, group: str) -> str:
    """Name a group together with its data set: "patient 1" occurs in many sets."""
    return hashlib.sha256(f"{dataset}\x1f{group}".encode()).hexdigest()


def seen_in(rows: pd.DataFrame) -> set[tuple[str, str]]:
    """Return what a network sees that is trained on these patches, as `tuned_on` does."""
    known = rows[rows["group_source"] != "image"]
    pairs = set(zip(known["dataset"], known["group"], strict=True))
    return {("image", value) for value in rows["source_sha256"]} | {
        ("group", group_key(dataset, group)) for dataset, group in pairs
    }


def write_tuned_on(draft: Draft, seen: set[tuple[str, str]]) -> None:
    """Write what a network's weights have seen."""
    import pandas as pd

    with draft.writing(TUNED_ON) as path:
        pd.DataFrame(sorted(seen), columns=["kind", "key"]).to_parquet(path, index=False)


def _from_artefact(path: Path, architecture: str | None) -> Start:
    artefact = open_artefact(path, "network")
    spec = load_spec(artefact)
    if architecture is not None and architecture != spec.architecture:
        raise InputError(
            f"{path} is a {spec.architecture} network, not {architecture}", "leave out --arch"
        )
    record = artefact.as_input("start")
    return Start("network", artefact, None, spec.architecture, dict(spec.kwargs), record, spec)


def _need(architecture: str | None, init: str) -> str:
    if architecture is None:
        raise InputError(f"{init} weights need an architecture", "give --arch NAME, a timm name")
    return architecture

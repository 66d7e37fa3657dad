"""Compute features of patches: with a network, or as shortcut baselines without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.files import written_atomically
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
from histograft.core.tables import FEATURE_INDEX
from histograft.core.units import SCANNER_TOLERANCE
from histograft.verbs.extractors import (
    Extractor,
    KnownNetwork,
    NetworkExtractor,
    PassSettings,
    Point,
    RandomLayer,
    ShortcutExtractor,
)
from histograft.verbs.feature_files import INDEX, write_features
from histograft.verbs.networks import (
    TUNED_ON,
    find_start,
    group_key,
    load_network,
    network_name,
    tuned_on,
)
from histograft.verbs.patch_images import images_of, load_patches

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.network import Network

VERSION = 2
BLOCK = 1024  # patches after which a killed run resumes


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Compute features of all patches of a patches artefact.

    Attributes
    ----------
    patches : Path
        A patches artefact.
    out : Path
        Folder of the features artefact; new, empty, or of the same unfinished run.
    network : Path
        A network artefact. Instead of it: --arch and --weights, or --shortcuts.
    arch : str
        timm name of an untuned network, with --weights.
    weights : str
        Weights of that network: "imagenet", "random", or a file.
    arch_kwargs : str
        Arguments of the architecture as JSON, such as '{"pad_type": "same", "bn_eps": 0.001}'.
    mean : tuple of float
        Mean of the input channels (0-1), where a weights file does not state it.
    std : tuple of float
        Standard deviation of the input channels, likewise.
    shortcuts : bool
        Compute the shortcut baselines instead: mean RGB, color histogram and JPEG quantization.
    points : tuple of str
        Where to read the network: "gap" (pooled features of Part A), "dense" (after the last
        ReLU of Part B), "dense-pre" (before it), "random" (an untrained dense layer on the gap);
        dense for a network artefact and gap for an untuned network by default.
    name : str
        First part of the models' names, as in ftx-dense; by default the network's folder, or the
        one above where that is called network.
    random_size : int
        Size of the untrained layer of the point "random".
    seed : int
        Seed of that layer, and of --weights random.
    batch_size : int
        Patches per forward pass.
    precision : str
        Arithmetic, as Lightning Fabric names it.
    device : str
        auto, cpu or cuda.
    """

    patches: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    network: Annotated[Path | None, Role.INPUT] = None
    arch: str | None = None
    weights: Annotated[str | None, Role.INPUT] = None
    arch_kwargs: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    shortcuts: bool = False
    points: tuple[Point, ...] = ()
    name: str | None = None
    random_size: int = 2048
    seed: int = 0
    batch_size: Annotated[int, Role.EXECUTION] = 64
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.batch_size, 1, "batch_size")
        require_at_least(self.random_size, 1, "random_size")
        require_at_least(self.seed, 0, "seed")
        given = sum([self.network is not None, self.weights is not None, self.shortcuts])
        if given != 1:
            raise InputError(
                "one source of features is needed",
                "give --network DIR, or --arch NAME with --weights imagenet|random|FILE, "
                "or --shortcuts",
            )
        if len(set(self.points)) < len(self.points):
            raise InputError(f"--points {self.points} names one twice")
        if self.weights is not None and {"dense", "dense-pre"} & set(self.points):
            raise InputError(
                "a network without tuning has no dense layer",
                "choose --points gap, or tune the network first (histograft train)",
            )


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def embed(config: Embed, reporter: Reporter = SILENT) -> Artefact:
    """Make a features artefact.

    Parameters
    ----------
    config : Embed
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``features``: one ``MODEL.h5`` for each point, and ``index.parquet``.

    Raises
    ------
    InputError
        The network cannot be had, or does not fit the patches.
    ArtefactError
        The folder is taken, or cannot be written, or features are not finite.
    """
    patches = open_artefact(config.patches, "patches")
    if not config.points:
        config = replace(config, points=("gap",) if config.weights else ("dense",))
    extractor = (
        ShortcutExtractor() if config.shortcuts else _network_extractor(config, patches, reporter)
    )
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    settings |= {"models": extractor.models} | extractor.resolved
    inputs = (patches.as_input("patches"), extractor.record)
    identity = Identity("features", "embed", VERSION, settings, inputs, config.seed)

    def work(draft: Draft) -> Artefact:
        table = load_patches(patches)
        _compute_blocks(extractor, patches, table, draft, reporter)
        sizes = _write_models(extractor, patches, table, draft)
        index = _index(table, extractor.seen)
        with draft.writing(INDEX) as path:
            index.to_parquet(path, index=False)
        facts = {name: patches.facts[name] for name in ("dataset", "classes", "task")}
        facts |= {"models": extractor.models, "sizes": sizes}
        facts |= {"n_patches": len(table), "n_seen": int(index["seen"].sum())}
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))

    return make_once(config.out, identity, work, reporter)


def _network_extractor(config: Embed, patches: Artefact, reporter: Reporter) -> NetworkExtractor:
    if config.network is not None:
        artefact = open_artefact(config.network, "network")
        seen = tuned_on(artefact) if TUNED_ON in artefact.files else set()
        known = KnownNetwork(load_network(artefact), artefact.as_input("network"), seen)
        prefix = config.name or network_name(artefact.path)
    else:
        known = _untuned(config, reporter)
        usual = "imgnet" if config.weights == "imagenet" else str(known.resolved["arch"])
        prefix = config.name or usual
    _tell_scales(known.network, patches, reporter)
    layer = RandomLayer(config.random_size, child_seed(config.seed, "random projection"))
    settings = PassSettings(config.device, config.batch_size, config.precision)
    return NetworkExtractor(known, prefix, config.points, layer, settings)


def _tell_scales(network: Network, patches: Artefact, reporter: Reporter) -> None:
    """Warn where a network sees tissue at another scale than it was tuned at."""
    tuned, seen = network.spec.mpp, patches.manifest["config"]["target_mpp"]
    if tuned is not None and seen != "keep" and abs(tuned / float(seen) - 1) > SCANNER_TOLERANCE:
        reporter.warn(
            f"the network was tuned at {tuned:g} µm/px and now sees patches of {float(seen):g} "
            "µm/px; standardize both to one scale unless this is meant"
        )


def _untuned(config: Embed, reporter: Reporter) -> KnownNetwork:
    from histograft.learning.network import NetworkSpec
    from histograft.learning.weights import build_network

    start = find_start(
        str(config.weights), config.arch, config.arch_kwargs, config.mean, config.std
    )
    if start.artefact is not None:
        raise InputError(f"{config.weights} is a network artefact", "give it with --network")
    for fact in start.assumed:
        reporter.warn(f"assumed of the weights file: {fact}")
    opened = start.opened
    mean, std = (opened.mean, opened.std) if opened else (config.mean, config.std)
    # Part B is never read here; its classes are placeholders.
    spec = NetworkSpec(
        start.architecture,
        ("none", "other"),
        kwargs=start.kwargs,
        hidden=(1,),
        mean=mean or (0.5, 0.5, 0.5),
        std=std or (0.5, 0.5, 0.5),
    )
    resolved: dict[str, Any] = {"arch": start.architecture, "arch_kwargs": start.kwargs}
    resolved |= {"mean": list(spec.mean), "std": list(spec.std)}
    network = build_network(spec, "random" if opened is None else opened, seed=config.seed)
    return KnownNetwork(network.eval(), start.record, resolved=resolved)


def _compute_blocks(
    extractor: Extractor, patches: Artefact, table: pd.DataFrame, draft: Draft, reporter: Reporter
) -> None:
    """Write the features of each block of patches into the work folder, where they are not yet."""
    import numpy as np

    with reporter.task(f"{patches.facts['dataset']}: features", len(table)) as task:
        for start in range(0, len(table), BLOCK):
            block = _block(draft, start)
            rows = table.iloc[start : start + BLOCK]
            if block.is_file():
                task.advance(len(rows))
                continue
            parts: dict[str, list[Any]] = {model: [] for model in extractor.models}
            for part in extractor.features(images_of(patches, rows), rows):
                for model, values in part.items():
                    parts[model].append(values)
                task.advance(len(next(iter(part.values()))))
            with written_atomically(block) as path:
                arrays: Any = {model: np.concatenate(v) for model, v in parts.items()}
                np.savez(path, **arrays)


def _write_models(
    extractor: Extractor, patches: Artefact, table: pd.DataFrame, draft: Draft
) -> dict[str, int]:
    """Write one feature file for each model; return the length of its features."""
    side = int(images_of(patches, table.head(1)).image(0).shape[0])
    attributes = dict(extractor.attributes) | {
        "name": patches.facts["dataset"],
        "patch_size": side,
        "overlap_px": round(side * patches.manifest["config"]["overlap"]),
        "patches": patches.id,
    }
    sizes = {}
    for model in extractor.models:
        features = _joined(draft, model, len(table))
        _refuse_not_finite(features, model)
        sizes[model] = int(features.shape[1])
        with draft.writing(f"{model}.h5") as path:
            write_features(path, features, table, attributes | {"encoder": model})
    return sizes


def _block(draft: Draft, start: int) -> Path:
    return draft.work / f"block-{start:09d}.npz"


def _joined(draft: Draft, model: str, n_rows: int) -> NDArray[np.float32]:
    import numpy as np

    parts = []
    for start in range(0, n_rows, BLOCK):
        with np.load(_block(draft, start)) as block:
            parts.append(block[model].astype(np.float32))
    return np.concatenate(parts)


def _refuse_not_finite(features: NDArray[np.float32], model: str) -> None:
    import numpy as np

    broken = ~np.isfinite(features).all(axis=1)
    if broken.any():
        raise InputError(
            f"{model}: {int(broken.sum())} of {len(features)} patches give NaN or infinity "
            f"(first: row {int(broken.argmax())})",
            "check the weights, or use --precision 32-true",
        )


def _index(table: pd.DataFrame, seen: set[tuple[str, str]]) -> pd.DataFrame:
    """Say which patch each row is, and whether the network was tuned on it or on its group."""
    index = table[[c.name for c in FEATURE_INDEX.columns if c.name != "seen"]].copy()
    image = [("image", value) in seen for value in table["source_sha256"]]
    group = [
        source != "image" and ("group", group_key(dataset, name)) in seen
        for dataset, name, source in zip(
            table["dataset"], table["group"], table["group_source"], strict=True
        )
    ]
    index["seen"] = [a or b for a, b in zip(image, group, strict=True)]
    return index

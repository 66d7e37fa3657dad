"""The network that a training begins with: its Part B, its normalization, its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.verbs.networks import WEIGHTS, Start, load_network
from histograft.verbs.patch_images import images_of

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.network import Network
    from histograft.learning.weights import OpenedWeights
    from histograft.verbs.train import Train

FTX_HIDDEN = (2048,)
NO_HIDDEN = (0,)  # how a user says that classes follow the pooled features


def keeps_part_b(start: Start, patches: Artefact) -> bool:
    """Whether a network artefact knows the classes of the patches, so that its Part B stays."""
    facts = patches.facts
    known = None if start.spec is None else (start.spec.classes, start.spec.task)
    return known == (tuple(facts["classes"]), facts["task"])


def hidden_sizes(config: Train, start: Start, patches: Artefact) -> tuple[int, ...]:
    """Resolve the sizes of Part B: as given, else of the network artefact, else FTX's 2048."""
    given = () if config.hidden == NO_HIDDEN else config.hidden
    if start.spec is None:
        return FTX_HIDDEN if given is None else given
    stated = start.spec.hidden
    if given not in (None, stated) and keeps_part_b(start, patches):
        words = (" ".join(map(str, sizes or NO_HIDDEN)) for sizes in (given, stated))
        raise InputError(
            f"--hidden is {next(words)}, but {config.init} has the classes of the patches, so that "
            f"its dense layers are kept, and those have {next(words)}",
            "leave out --hidden",
        )
    return stated if given is None else given


def first_network(
    config: Train, start: Start, patches: Artefact, table: pd.DataFrame, reporter: Reporter
) -> Network:
    """Build the network that a training begins with: loaded, or new from its first weights."""
    from histograft.learning.network import NetworkSpec
    from histograft.learning.weights import build_network, open_weights

    facts = patches.facts
    classes = tuple(facts["classes"])
    opened = start.opened
    if start.artefact is not None:
        if keeps_part_b(start, patches):
            network = load_network(start.artefact)
            if config.norm in ("target", "imagenet"):
                mean, std = _normalization(config, None, patches, table)
                network.spec = replace(network.spec, mean=mean, std=std)
            return network
        reporter.note(f"the classes are not those of {start.artefact.path}: Part B is new")
        opened = open_weights(start.artefact.file(WEIGHTS))
    mean, std = _normalization(config, opened, patches, table)
    first = images_of(patches, table.head(1)).image(0)
    scales = table["mpp"].dropna().unique()
    spec = NetworkSpec(
        architecture=start.architecture,
        classes=classes,
        kwargs=start.kwargs,
        hidden=hidden_sizes(config, start, patches),
        task=facts["task"],
        patch_px=int(first.shape[0]),
        mpp=float(scales[0]) if len(scales) == 1 and table["mpp"].notna().all() else None,
        mean=mean,
        std=std,
    )
    return build_network(
        spec,
        "random" if opened is None else opened,
        seed=config.seed,
        random_start=config.random_start,
    )


def _normalization(
    config: Train, opened: OpenedWeights | None, patches: Artefact, table: pd.DataFrame
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the input, from where the configuration says."""
    if config.norm == "imagenet":
        from histograft.learning.normalization import IMAGENET

        return IMAGENET
    if config.norm != "target":
        if opened is not None:
            return opened.mean, opened.std
        if config.mean is not None and config.std is not None:
            return config.mean, config.std
        if config.norm == "source":
            raise InputError(
                "--norm source needs first weights with a mean and std, which random ones lack",
                "give --norm target, or --mean and --std",
            )
    return channel_statistics(patches, table)


def channel_statistics(
    patches: Artefact, table: pd.DataFrame
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the training patches' pixels, per channel, 0–1."""
    import numpy as np

    rows = table[table["split"] == "train"]
    images = images_of(patches, rows)
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for index in range(len(rows)):
        pixels = images.image(index).reshape(-1, 3) / 255.0
        count += len(pixels)
        total += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return tuple(mean.round(6).tolist()), tuple(std.round(6).tolist())

"""The network that a transfer begins with: another's Part A, and a new classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.verbs.first_network import channel_statistics
from histograft.verbs.fuse_parents import SAME_SCALE, scale_of
from histograft.verbs.networks import WEIGHTS, Start, group_key, load_network, load_spec, tuned_on

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.network import Network
    from histograft.learning.weights import OpenedWeights
    from histograft.verbs.transfer import Transfer


def transfer_network(
    config: Transfer, start: Start, patches: Artefact, table: pd.DataFrame
) -> Network:
    """Build the network to tune: Part A from the source, a new linear classifier on top."""
    from histograft.learning.network import NetworkSpec
    from histograft.learning.shuffle import shuffled
    from histograft.learning.weights import build_network
    from histograft.verbs.patch_images import images_of

    # Of the trial too: trainings from scratch would else share their first weights.
    seed = child_seed(config.seed, "transfer", config.trial)
    opened = _opened(start)
    if config.shuffle and opened is not None:
        opened = shuffled(opened, seed=seed)
    mean, std = _normalization(config, opened, patches, table)
    facts = patches.facts
    spec = NetworkSpec(
        architecture=start.architecture,
        classes=tuple(facts["classes"]),
        kwargs=start.kwargs,
        hidden=(),
        task=facts["task"],
        patch_px=int(images_of(patches, table.head(1)).image(0).shape[0]),
        mpp=scale_of(table),
        mean=mean,
        std=std,
    )
    return build_network(
        spec, "random" if opened is None else opened, seed=seed, random_start="he-fan-out"
    )


def own_network(start: Start, patches: Artefact) -> Network:
    """Load a network artefact to be tested as it is, with its own classifier."""
    if start.artefact is None:
        raise InputError(
            f"--tune none tests a network as it is, and {start.kind} weights have no classes",
            "give the folder of a network artefact as --init",
        )
    network = load_network(start.artefact)
    if network.spec.classes != tuple(patches.facts["classes"]):
        raise InputError(
            f"{start.artefact.path} tells {', '.join(network.spec.classes)} apart, "
            f"the patches show {', '.join(patches.facts['classes'])}",
            "tune it first (--tune fine or deep)",
        )
    return network


def compare_scales(
    start: Start, table: pd.DataFrame, reporter: Reporter, *, strict: bool
) -> dict[str, Any]:
    """Warn of a source that learned at another µm/px, or refuse it; both scales for the record."""
    known = None if start.artefact is None else load_spec(start.artefact).mpp
    here = scale_of(table)
    both = {"source_mpp": known, "target_mpp": here}
    if start.artefact is None:
        return both
    differ = (known is None) != (here is None) or (
        known is not None and here is not None and abs(known / here - 1) > SAME_SCALE
    )
    text = (
        f"{start.artefact.path.name} learned at {_shown(known)}, these patches have {_shown(here)}"
    )
    if strict and (differ or known is None):
        raise InputError(text, "standardize both sets to one --target-mpp")
    if differ:
        reporter.warn(text)
    return both


def refuse_seen(start: Start, table: pd.DataFrame) -> None:
    """Refuse to test on images or groups that the source was trained on."""
    if start.artefact is None:
        return
    seen, test = tuned_on(start.artefact), table[table["split"] == "test"]
    images = int(test["source_sha256"].map(lambda value: ("image", value) in seen).sum())
    known = test[test["group_source"] != "image"]
    groups = {
        group
        for dataset, group in set(zip(known["dataset"], known["group"], strict=True))
        if ("group", group_key(dataset, group)) in seen
    }
    if images or groups:
        raise InputError(
            f"{start.artefact.path} was trained on {images} of the test patches and "
            f"{len(groups)} of their groups",
            "take the same split of a set for source and target: one patches artefact",
        )


def _opened(start: Start) -> OpenedWeights | None:
    from histograft.learning.weights import open_weights

    if start.artefact is not None:
        return open_weights(start.artefact.file(WEIGHTS))
    return start.opened


def _normalization(
    config: Transfer, opened: OpenedWeights | None, patches: Artefact, table: pd.DataFrame
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the input: of the source's training, of ImageNet, or here."""
    from histograft.learning.normalization import IMAGENET

    if config.norm == "imagenet":
        return IMAGENET
    if config.norm == "source" and opened is not None:
        return opened.mean, opened.std
    return channel_statistics(patches, table)


def _shown(mpp: float | None) -> str:
    return "an unknown scale" if mpp is None else f"{mpp:g} µm/px"

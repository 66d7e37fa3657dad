"""Fuse networks of one architecture into one, without training: weight distillation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
from histograft.core.tables import FUSED_LAYERS
from histograft.verbs.first_network import channel_statistics
from histograft.verbs.fuse_card import fused_card
from histograft.verbs.fuse_parents import (
    Parents,
    compare_scales,
    fused_spec,
    open_parents,
    scale_of,
)
from histograft.verbs.model_card import CARD
from histograft.verbs.networks import load_network, seen_in, write_network_files, write_tuned_on
from histograft.verbs.patch_images import images_of, load_patches

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.fuse import FuseReport
    from histograft.learning.network import Network, NetworkSpec

VERSION = 1
LAYERS = "layers.csv"
PICTURE = "layers"
Mode = Literal[
    "paper",
    "paper-normalized",
    "average",
    "aligned-average",
    "basis",
    "first-only",
    "random-subspace",
]


@dataclass(frozen=True, kw_only=True)
class Fuse:
    """Fuse networks of one architecture into one, without training (weight distillation).

    What comes out is the start of a training: tune it on the target with `histograft transfer` or
    `train --init OUT`. Whether it is a better start than one of its networks alone,
    `histograft run weight-distillation` tests. An output layer is kept only where all networks
    tell the same classes apart. OUT/layers.csv and OUT/layers.png say, layer by layer, what is left
    of each network. For example: `histograft fuse lung colon --mode aligned-average --recalibrate
    target-patches --out fused`.

    Attributes
    ----------
    networks : tuple of Path
        Folders of two or more network artefacts; in most modes the first one counts most.
    out : Path
        Folder of the network artefact; new, empty, or of the same unfinished run.
    mode : str
        "paper" (HistoKT as printed: the first network's filters, projected on what all have in
        common), "paper-normalized" (each network counts alike there), "average",
        "aligned-average" (channels are matched first, ResNets), "basis" (common directions,
        turned to the mean); controls: "first-only", "random-subspace".
    recalibrate : Path
        Patches artefact on whose training rows BatchNorm statistics are measured anew; without
        it they are averages, which fit no network.
    norm : str
        Mean and standard deviation of the input: those of the "source" networks, of the "target"'s
        training patches (those of --recalibrate), or of "imagenet". Take what it will be tuned
        with: BatchNorm is measured behind it.
    strict_scale : bool
        Refuse networks and patches that are not known to be at one µm/px, instead of a warning.
    seed : int
        Seed of random subspaces, of a new output layer, and of the order of patches.
    device : str
        auto, cpu or cuda; of the recalibration.
    """

    networks: Annotated[tuple[Path, ...], Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    mode: Mode = "paper"
    recalibrate: Annotated[Path | None, Role.INPUT] = None
    norm: Literal["source", "target", "imagenet"] = "source"
    strict_scale: Annotated[bool, Role.EXECUTION] = False
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.seed, 0, "seed")
        if self.norm == "target" and self.recalibrate is None:
            raise InputError(
                "--norm target needs patches of the target", "give them by --recalibrate PATCHES"
            )


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"mode": "paper"},
    "recommended": {"mode": "aligned-average"},
}


def fuse(config: Fuse, reporter: Reporter = SILENT) -> Artefact:
    """Make a network artefact of several.

    Parameters
    ----------
    config : Fuse
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``network``, with ``layers.csv`` and a picture of it: what is left of each network,
        layer by layer. It counts as tuned on all that its parents have seen, and on the training
        rows that it was recalibrated on.

    Raises
    ------
    InputError
        The networks cannot be fused, or, with ``strict_scale``, are not at one scale.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    parents = open_parents(config.networks)
    patches = None if config.recalibrate is None else open_artefact(config.recalibrate, "patches")
    inputs = [artefact.as_input("network") for artefact in parents.artefacts]
    rows = None
    if patches is not None:
        inputs.append(patches.as_input("recalibrate"))
        rows = _training_rows(patches)
    target = None if rows is None or patches is None else (patches.path.name, scale_of(rows))
    compare_scales(parents, target, reporter, strict=config.strict_scale)
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    identity = Identity("network", "fuse", VERSION, settings, tuple(inputs), config.seed)

    def work(draft: Draft) -> Artefact:
        return _fuse(config, parents, patches, rows, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _training_rows(patches: Artefact) -> pd.DataFrame:
    table = load_patches(patches)
    rows = table[table["split"] == "train"]
    if len(rows) < 2:
        raise InputError(
            f"{patches.path} has {len(rows)} training rows", "standardize it with splits"
        )
    return rows


def _fuse(
    config: Fuse,
    parents: Parents,
    patches: Artefact | None,
    rows: pd.DataFrame | None,
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    from histograft.learning.fuse_layers import FROM_FIRST

    statistics = _statistics(config, patches, rows)
    from_first = config.mode in FROM_FIRST
    spec = fused_spec(parents, statistics, from_first=from_first, reporter=reporter)
    with reporter.task(f"fusing {len(parents.names)} networks", 1) as task:
        report = _report(config, parents)
        task.advance(1)
    network = _network(config, spec, report)
    measured = 0
    if patches is not None and rows is not None:
        measured = _recalibrate(config, network, patches, rows, reporter)
    elif config.mode != "first-only" and any("running_mean" in name for name in report.state):
        reporter.warn(
            "BatchNorm statistics are averages over the networks and fit none of them; "
            "--recalibrate PATCHES measures them on the target's training patches"
        )
    _write_layers(draft, report, parents, config, reporter)
    seen = parents.seen | (set() if rows is None else seen_in(rows))
    write_tuned_on(draft, seen)
    trained: dict[str, Any] = {
        "fused": config.mode,
        "of": parents.names,
        "recalibrated_on": None if patches is None else patches.as_input("patches").name,
    }
    write_network_files(draft, network, trained)
    draft.write_text(
        CARD, fused_card(parents, network.spec, config.mode, trained["recalibrated_on"])
    )
    facts = _facts(network.spec, report, parents) | {
        "recalibrated_on": None if patches is None else patches.facts["dataset"],
        "n_recalibrated": 0 if rows is None else len(rows),
        "n_layers_recalibrated": measured,
    }
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _statistics(
    config: Fuse, patches: Artefact | None, rows: pd.DataFrame | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation of the input; None for those of the parents."""
    from histograft.learning.normalization import IMAGENET

    if config.norm == "imagenet":
        return IMAGENET
    if config.norm == "target" and patches is not None and rows is not None:
        return channel_statistics(patches, rows)
    return None


def _report(config: Fuse, parents: Parents) -> FuseReport:
    from histograft.learning.fuse import fuse_report
    from histograft.learning.network import state_to_save

    states = [state_to_save(load_network(artefact)) for artefact in parents.artefacts]
    if not parents.same_classes:
        states = [
            {name: t for name, t in state.items() if not name.startswith("part_b.output.")}
            for state in states
        ]
    return fuse_report(states, config.mode, seed=config.seed)


def _network(config: Fuse, spec: NetworkSpec, report: FuseReport) -> Network:
    """Build the network: fused tensors, and new ones for what could not be fused."""
    from histograft.learning.network import load_state, state_to_save
    from histograft.learning.weights import build_network

    network = build_network(spec, "random", seed=config.seed)
    load_state(network, state_to_save(network) | report.state)
    return network.eval()


def _recalibrate(
    config: Fuse, network: Network, patches: Artefact, rows: pd.DataFrame, reporter: Reporter
) -> int:
    from histograft.learning.recalibrate import recalibrate_batchnorm

    with reporter.task("measuring BatchNorm statistics", len(rows)) as task:
        done = 0

        def on_batch(batch: int, n_batches: int) -> None:
            nonlocal done
            now = len(rows) * batch // n_batches
            task.advance(now - done)
            done = now

        return recalibrate_batchnorm(
            network,
            images_of(patches, rows),
            seed=child_seed(config.seed, "recalibrate"),
            device=config.device,
            on_batch=on_batch,
        )


def _write_layers(
    draft: Draft, report: FuseReport, parents: Parents, config: Fuse, reporter: Reporter
) -> None:
    import pandas as pd

    from histograft.figures.fusion import fused_layers
    from histograft.figures.style import figure_bytes

    table = pd.DataFrame(report.layers)
    table.insert(2, "network", [parents.names[number - 1] for number in table["parent"]])
    table = FUSED_LAYERS.check(table, LAYERS)
    with draft.writing(LAYERS) as path:
        table.to_csv(path, index=False)
    figure = fused_layers(table, title=f"{len(parents.names)} networks, {config.mode}")
    with draft.writing(f"{PICTURE}.png") as path:
        path.write_bytes(figure_bytes(figure, "png"))
    with draft.writing(f"{PICTURE}.svg") as path:
        path.write_bytes(figure_bytes(figure, "svg"))
    columns = ["retained_energy", "energy_ratio", "distance", "order_sensitivity"]
    medians = table.groupby(["parent", "network"], sort=True)[columns].median()
    reporter.table(
        "what is left of each network (median over layers)",
        [
            "network",
            "energy in what is kept",
            "energy of the result",
            "distance",
            "change if it came first",
        ],
        [
            [str(name), *("–" if pd.isna(value) else f"{value:.2f}" for value in values)]
            for (_, name), *values in medians.itertuples(name=None)
        ],
    )


def _facts(spec: NetworkSpec, report: FuseReport, parents: Parents) -> dict[str, Any]:
    sets = [str(a.facts["tuned_on"]) for a in parents.artefacts if "tuned_on" in a.facts]
    return {
        "architecture": spec.architecture,
        "classes": list(spec.classes),
        "mean": list(spec.mean),
        "std": list(spec.std),
        "tuned_on": " + ".join(dict.fromkeys(sets)),
        "sets": sets,
        "networks": [
            {
                "name": name,
                "mpp": own.mpp,
                "mean": list(own.mean),
                "std": list(own.std),
                "classes": list(own.classes),
                "channels_moved": moved,
            }
            for name, own, moved in zip(
                parents.names, parents.specs, report.channels_moved, strict=True
            )
        ],
        "new_output": not parents.same_head,
        "dropped": report.dropped,
    }

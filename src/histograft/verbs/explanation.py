"""One run of `explain`: its patches, its networks and what they make of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft, Identity, Input
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.executor import open_threads
from histograft.core.files import hash_file
from histograft.core.identity import hash_json
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.core.units import SCANNER_TOLERANCE
from histograft.verbs.evidence import (
    Look,
    Masks,
    Seen,
    looks_with_masks,
    looks_without_masks,
    pointing_cells,
    refuse_unknown_classes,
    see,
    shuffled,
)
from histograft.verbs.explain_page import Shown, write_report
from histograft.verbs.mask_classes import parse_mask_classes
from histograft.verbs.network_spaces import (
    FEWEST_POINTS,
    Space,
    map_space,
    some_rows,
    tsne_settings,
)
from histograft.verbs.networks import (
    TUNED_ON,
    extractor_names,
    group_key,
    load_network,
    tuned_on,
)
from histograft.verbs.patch_images import PatchImages, images_of, load_patches

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.network import Network
    from histograft.verbs.explain import Explain


class Explanation:
    """One run: its patches, its networks and what they make of them.

    Parameters
    ----------
    config : Explain
        What to do.
    patches : Artefact
        The patches.
    artefacts : list of Artefact
        The networks.
    reporter : Reporter
        Whom to tell.
    """

    def __init__(
        self, config: Explain, patches: Artefact, artefacts: list[Artefact], reporter: Reporter
    ) -> None:
        self.config, self.patches, self.artefacts = config, patches, artefacts
        self.reporter = reporter
        self.names = extractor_names([str(path) for path in config.networks])
        table = load_patches(patches)
        chosen = table if config.split == "all" else table[table["split"] == config.split]
        self.table = chosen.reset_index(drop=True)
        if self.table.empty:
            raise InputError(
                f"{patches.path.name} has no {config.split} patches", "choose another --split"
            )
        self.device = config.device, config.batch_size
        self.notices: list[str] = []

    @cached_property
    def images(self) -> PatchImages:
        """Images of the patches of the split."""
        return images_of(self.patches, self.table)

    @cached_property
    def masks(self) -> Masks | None:
        """Where masks are, and what they mean."""
        if self.config.masks is None:
            return None
        known = self.patches.manifest["config"].get("mask_classes", ())
        codes = parse_mask_classes(self.config.mask_classes or tuple(known))
        return Masks(self.config.masks, codes, self.config.tolerance_px)

    def identity(self, version: int) -> Identity:
        """Return what decides what the report holds."""
        settings = fields_with_role(self.config, Role.SETTING)
        settings.pop("seed")
        inputs = [self.patches.as_input("patches")]
        inputs += [artefact.as_input("network") for artefact in self.artefacts]
        if self.masks is not None:
            settings["mask_classes"] = [f"{code}={c}" for code, c in self.masks.codes.items()]
            files = {name: self.masks.file(name) for name in self.table["file_name"]}
            hashes = {n: hash_file(path).sha256 for n, path in files.items() if path.is_file()}
            inputs.append(Input("masks", "masks", hash_json(hashes), self.masks.folder.name))
        return Identity("report", "explain", version, settings, tuple(inputs), self.config.seed)

    def fill(self, draft: Draft) -> Artefact:
        """Make everything."""
        looks = self._looks()
        first = [look for look in looks if look.row in self._first_rows(looks)]
        networks = [load_network(artefact) for artefact in self.artefacts]
        for name, network, artefact in zip(self.names, networks, self.artefacts, strict=True):
            refuse_unknown_classes(network, name, looks)
            self._remark_on(name, network, artefact)
        seen, rows = self._see(networks, looks, len(first))
        projection = self._map(networks)
        shown = Shown(
            self.config,
            self.names,
            tuple(network.cam_layer or "" for network in networks),
            seen,
            {look.row: self.images.image(look.row) for look in first},
            rows,
            projection,
            tuple(self.notices),
        )
        write_report(draft, shown, {self.patches.path.resolve().name: self.patches.id} | self._ids)
        facts = {"networks": self.names, "n_patches": len({look.row for look in looks})}
        facts |= {"n_maps": len(rows), "dataset": self.patches.facts["dataset"]}
        return draft.finish(facts, fields_with_role(self.config, Role.EXECUTION))

    @property
    def _ids(self) -> dict[str, str]:
        return {n: artefact.id for n, artefact in zip(self.names, self.artefacts, strict=True)}

    def _looks(self) -> list[Look]:
        """List what to look for: first those to be shown, class by class."""
        order = shuffled(self.table, self.config.seed)
        if self.masks is None:
            truth = self.config.shown == "true"
            looks = looks_without_masks(self.table, order, self.config.n, of_truth=truth)
        else:
            n = max(self.config.n, self.config.n_scored)
            looks = looks_with_masks(self.table, self.images, order, n, self.masks)
        first = self._first_rows(looks)
        labels = self.table["label"].tolist()
        return sorted(looks, key=lambda look: (look.row not in first, labels[look.row]))

    def _first_rows(self, looks: Sequence[Look]) -> set[int]:
        """Rows of the patches that are shown."""
        return set(list(dict.fromkeys(look.row for look in looks))[: self.config.n])

    def _see(
        self, networks: list[Network], looks: list[Look], n_shown: int
    ) -> tuple[list[list[Seen]], pd.DataFrame]:
        """Make all maps; keep those to be shown, and a row of the table for each."""
        import pandas as pd

        from histograft.learning.cam import CamSettings

        c = self.config
        settings = CamSettings(c.method, c.aug_smooth, c.eigen_smooth, c.layer)
        groups = self.table["group"].tolist()
        kept: list[list[Seen]] = []
        rows = []
        with self.reporter.task("class activation maps", len(networks) * len(looks)) as task:
            for name, network in zip(self.names, networks, strict=True):
                kept.append([])
                for one in see(
                    network, self.images, self.table, looks, settings, self.device, task
                ):
                    cells = {"network": name, "group": groups[one.look.row]} | one.cells
                    if one.look.mask is not None:
                        cells |= pointing_cells(one.found, one.look.mask, c.tolerance_px)
                    rows.append(cells)
                    if len(kept[-1]) < n_shown:
                        kept[-1].append(one)
        return kept, pd.DataFrame(rows)

    def _map(self, networks: list[Network]) -> tuple[Any, Any, dict[str, Any]] | None:
        """Map the feature spaces of all networks alike."""
        import pandas as pd

        if self.config.tsne == "none":
            return None
        if len(self.table) < FEWEST_POINTS:
            self.reporter.note("no map of features: there are fewer than four patches")
            return None
        rows = some_rows(len(self.table), self.config.seed)
        table = self.table.iloc[rows].reset_index(drop=True)
        space = Space(
            table,
            images_of(self.patches, table),
            self.patches.facts["dataset"],
            self.patches.facts["task"] == "multilabel",
            tsne_settings(self.config.tsne),
            # The paper's generator began at the seed itself.
            self.config.seed
            if self.config.tsne == "paper"
            else child_seed(self.config.seed, "t-SNE"),
        )
        points, scores = [], []
        settings: dict[str, Any] = {}
        title = "maps of features"
        with self.reporter.task(title, len(networks) * len(table)) as task, open_threads(1):
            for name, network in zip(self.names, networks, strict=True):
                own, score, settings = map_space(space, network, name, self.device, task)
                points.append(own)
                scores.append(score)
        return pd.concat(points, ignore_index=True), pd.DataFrame(scores), settings

    def _remark_on(self, name: str, network: Network, artefact: Artefact) -> None:
        """Say what a reader must know: other scale, other classes, patches that it learned from."""
        scale = self.patches.manifest["config"]["target_mpp"]
        mpp = network.spec.mpp
        if scale != "keep" and mpp is not None and abs(mpp / float(scale) - 1) > SCANNER_TOLERANCE:
            self._warn(f"{name} was tuned at {mpp:g} µm/px and sees patches of {scale:g} µm/px.")
        labels = {one for label in self.table["label"] for one in label.split("|")}
        unknown = sorted(labels - set(network.spec.classes))
        if unknown:
            self._warn(
                f"{name} has no class {', '.join(unknown)}: what it takes such patches for is "
                "neither right nor wrong."
            )
        seen = tuned_on(artefact) if TUNED_ON in artefact.files else set()
        keys = zip(
            self.table["source_sha256"], self.table["dataset"], self.table["group"], strict=True
        )
        known = sum(
            ("image", image) in seen or ("group", group_key(dataset, group)) in seen
            for image, dataset, group in keys
        )
        if known:
            self._warn(f"{name} was tuned on {known:,} of these {len(self.table):,} patches.")

    def _warn(self, text: str) -> None:
        self.reporter.warn(text)
        self.notices.append(text)

"""Compute features: of slides or patches with a network, of patches also without one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, Identity, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
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
from histograft.verbs.networks import TUNED_ON, find_start, load_network, network_name, tuned_on
from histograft.verbs.one_slide import SlideRules, StainConstants, StainMode
from histograft.verbs.patch_embedding import embed_patches
from histograft.verbs.slide_embedding import embed_slides
from histograft.verbs.slide_plan import TileRules
from histograft.verbs.slides import read_slides, tell_without_patient
from histograft.verbs.stain_references import choose_reference
from histograft.verbs.tile_stream import reading_threads
from histograft.verbs.unused_options import refuse_unused, tell_unused

VERSION = 2
# Settings that mean nothing for patches, which have been cut already.
SLIDE_SETTINGS = (
    "target_mpp", "tile_px", "overlap", "least_tissue", "stain", "stain_constants", "upsample",
)  # fmt: skip
FOR_STAINS = "for --stain macenko-slide or macenko-tile"
FOR_SLIDES = "for slides (patches have been cut already)"


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Compute features of whole slides, or of all patches of a patches artefact.

    For slides: finds tissue, cuts tiles at an exact µm/px, normalizes their stain if asked to, and
    writes one file a slide in TRIDENT's schema below OUT/slides. A slide that cannot be used is
    named at the end, and the others are finished. Run it again to go on where it was interrupted;
    several machines may work on one list and one OUT at once. Look first: `histograft doctor`.

    Attributes
    ----------
    slides : Path
        Table of slides (columns slide_id, file, and if known patient_id, mpp, annotations), or a
        folder of slides.
    patches : Path
        A patches artefact, instead of slides.
    out : Path
        Folder of the features; new, empty, or of the same unfinished run.
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
    target_mpp : float
        Slides: µm/px of the tiles.
    tile_px : int
        Slides: side of a tile in pixels.
    overlap : float
        Slides: share of the side that neighboring tiles have in common, 0 up to below 1.
    least_tissue : float
        Slides: least share of a tile that must be tissue, 0-1.
    stain : str
        Slides: none, macenko-slide (one matrix a slide, from its tissue), or macenko-tile.
    stain_constants : str
        Slides: published constants of the normalization: "torchstain" (empty glass has the grey
        value Io = 240), or "paper" (255). A reference is fitted with this Io; a JSON states its
        own.
    stain_reference : Path
        Slides: what normalized tiles shall look like: an image or a slide, to whose tissue stains
        are fitted, or the OUT/stain_reference.json of another run; --stain-constants by default.
    upsample : str
        Slides: whether a slide with fewer pixels than the tiles may be enlarged. A slide that is
        too coarse has a row in the outcome table, so that here, unlike for patches, the default
        is "error".
    batch_size : int
        Patches or tiles per forward pass.
    precision : str
        Arithmetic, as Lightning Fabric names it.
    device : str
        auto, cpu or cuda.
    workers : int
        Slides: threads that read tiles; by default one for each core, 8 at most.
    keep_going : bool
        Slides: do without those that fail, which is then a success (exit code 0); without it they
        are an error (exit code 1) once all others are done. OUT/outcomes.csv names them either way.
    """

    slides: Annotated[Path | None, Role.INPUT] = field(default=None, kw_only=False)
    patches: Annotated[Path | None, Role.INPUT] = None
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
    target_mpp: float = 0.5
    tile_px: int = 224
    overlap: float = 0.0
    least_tissue: float = 0.5
    stain: StainMode = "none"
    stain_constants: StainConstants = "torchstain"
    stain_reference: Annotated[Path | None, Role.INPUT] = None
    upsample: Literal["error", "allow"] = "error"
    batch_size: Annotated[int, Role.EXECUTION] = 64
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"
    workers: Annotated[int | None, Role.EXECUTION] = None
    keep_going: Annotated[bool, Role.EXECUTION] = False

    def __post_init__(self) -> None:
        if (self.slides is None) == (self.patches is None):
            raise InputError(
                "slides or patches are needed, not both",
                "give a table of slides, or --patches with a patches artefact",
            )
        if self.slides is not None and self.shortcuts:
            raise InputError("--shortcuts are for patches", "give --network or --weights")
        if self.patches is not None:
            of_slides = (*SLIDE_SETTINGS, "stain_reference", "workers", "keep_going")
            refuse_unused(self, of_slides, PRESETS, FOR_SLIDES)
        if self.stain_reference is not None and self.stain == "none":
            raise InputError(
                "--stain-reference is given, but no stain is normalized (--stain none)",
                "give --stain macenko-slide or --stain macenko-tile as well",
            )
        _tile_rules(self)
        require_at_least(self.workers or 0, 0, "workers")
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
        if self.weights is None:
            of_weights = ("arch", "arch_kwargs", "mean", "std")
            refuse_unused(self, of_weights, {}, "for --weights (a network artefact states its own)")
        if len(set(self.points)) < len(self.points):
            raise InputError(f"--points {' '.join(self.points)} names one twice", "give each once")
        if self.weights is not None and {"dense", "dense-pre"} & set(self.points):
            raise InputError(
                "a network without tuning has no dense layer",
                "choose --points gap, or tune the network first (histograft train)",
            )


PRESETS: dict[str, dict[str, Any]] = {
    # 0.25 µm/px and Macenko tile by tile (Io 255, α 1, β 0.15), as Li 2022; 40x slides only,
    # others would be enlarged.
    "paper": {"target_mpp": 0.25, "stain": "macenko-tile", "stain_constants": "paper"},
    "recommended": {"target_mpp": 0.5, "stain": "macenko-slide"},
}


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
        Of kind ``features``. Of patches: one ``MODEL.h5`` for each point, and ``index.parquet``.
        Of slides: the list of slides at ``OUT/index``; features are at ``OUT/slides``.

    Raises
    ------
    InputError
        The network cannot be had, or does not fit the patches.
    ArtefactError
        The folder is taken, or cannot be written, or features are not finite.
    """
    if not config.points:
        config = replace(config, points=("gap",) if config.weights else ("dense",))
    return _of_slides(config, reporter) if config.slides else _of_patches(config, reporter)


def _of_patches(config: Embed, reporter: Reporter) -> Artefact:
    patches = open_artefact(Path(str(config.patches)), "patches")
    tell_unused(config, SLIDE_SETTINGS, PRESETS, FOR_SLIDES, reporter)
    extractor: Extractor
    if config.shortcuts:
        extractor = ShortcutExtractor()
    else:
        extractor = _network_extractor(config, reporter)
        scale = patches.manifest["config"]["target_mpp"]
        if scale != "keep":
            _tell_scales(extractor.mpp, float(scale), reporter)
    settings = fields_with_role(config, Role.SETTING)
    for name in ("seed", *SLIDE_SETTINGS):
        settings.pop(name)
    settings |= {"models": extractor.models} | extractor.resolved
    inputs = (patches.as_input("patches"), extractor.record)
    identity = Identity("features", "embed", VERSION, settings, inputs, config.seed)
    execution = fields_with_role(config, Role.EXECUTION)
    return embed_patches(patches, extractor, config.out, identity, execution, reporter)


def _of_slides(config: Embed, reporter: Reporter) -> Artefact:
    entries = read_slides(Path(str(config.slides)))
    tell_without_patient(entries, reporter)
    extractor = _network_extractor(config, reporter)
    if extractor.mpp is None and config.network is not None:
        reporter.warn(
            f"it is not known at which µm/px the network {config.network} was tuned (pixels of its "
            f"patches were kept), and now it sees {config.target_mpp:g} µm/px; features mean "
            "little where the two differ: standardize its patches to one scale and tune it again"
        )
    _tell_scales(extractor.mpp, config.target_mpp, reporter)
    if config.stain == "none":
        tell_unused(config, ("stain_constants",), PRESETS, FOR_STAINS, reporter)
    reference = choose_reference(
        config.stain_reference, config.stain_constants, entries, _tile_rules(config), reporter
    )
    of_pass = {name: getattr(config, name) for name in ("precision", "random_size", "seed")}
    rules = SlideRules(
        _tile_rules(config),
        config.stain,
        reference,
        of_pass,
        reading_threads(config.workers),
        fields_with_role(config, Role.EXECUTION),
    )
    return embed_slides(
        entries, rules, extractor, config.out, reporter, keep_going=config.keep_going
    )


def _tile_rules(config: Embed) -> TileRules:
    return TileRules(
        config.target_mpp, config.tile_px, config.overlap, config.least_tissue, config.upsample
    )


def _network_extractor(config: Embed, reporter: Reporter) -> NetworkExtractor:
    from histograft.learning.regime import make_fabric

    make_fabric(config.device, config.precision)  # refuses an absent device before any work
    if config.network is not None:
        artefact = open_artefact(config.network, "network")
        seen = tuned_on(artefact) if TUNED_ON in artefact.files else set()
        known = KnownNetwork(load_network(artefact), artefact.as_input("network"), seen)
        prefix = config.name or network_name(artefact.path)
    else:
        known = _untuned(config, reporter)
        usual = "imgnet" if config.weights == "imagenet" else str(known.resolved["arch"])
        prefix = config.name or usual
    layer = RandomLayer(config.random_size, child_seed(config.seed, "random projection"))
    settings = PassSettings(config.device, config.batch_size, config.precision)
    return NetworkExtractor(known, prefix, config.points, layer, settings)


def _tell_scales(tuned: float | None, seen: float, reporter: Reporter) -> None:
    """Warn where a network sees tissue at another scale than it was tuned at."""
    if tuned is not None and abs(tuned / seen - 1) > SCANNER_TOLERANCE:
        reporter.warn(
            f"the network was tuned at {tuned:g} µm/px and now sees {seen:g} µm/px; bring both to "
            "one scale unless this is meant"
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

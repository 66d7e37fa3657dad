"""Write a network in a form that other programs run, and check that it says the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.model_card import CARD
from histograft.verbs.networks import (
    SPECIFICATION,
    TUNED_ON,
    load_network,
    write_network_files,
)

if TYPE_CHECKING:
    from histograft.learning.network import Network

VERSION = 1
ONNX = "network.onnx"
MOST_DIFFERENT = 1e-4
BEYOND = 37  # pixels that a trial is larger than what the model was made of: no round number


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a network as ONNX, beside its safetensors, and check that both say the same.

    The logits of ONNX Runtime are compared with those of PyTorch on images of several sizes; a
    difference above 1e-4 is an error and nothing is left. Needs the extra `export`.

    Attributes
    ----------
    network : Path
        Network artefact of `histograft train`, `distill`, `fuse` or `export`.
    out : Path
        Folder of the network artefact with the ONNX file; new or empty.
    format : str
        What to write: onnx.
    sizes : str
        Whether the model takes images of "any" height and width, or the network's "fixed" patch
        size; "auto" is any for networks of `distill`, which learned from pieces of any size. It
        takes any number of images in either case.
    seed : int
        Seed of the images of the check.
    """

    network: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    format: Literal["onnx"] = "onnx"
    sizes: Literal["auto", "any", "fixed"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self.seed, 0, "seed")


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def missing_packages() -> list[str]:
    """Return which packages of the extra ``export`` are not installed."""
    return [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]


def export(config: Export, reporter: Reporter = SILENT) -> Artefact:
    """Make a network artefact that holds an ONNX file as well.

    Parameters
    ----------
    config : Export
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``network``: what every network has, and ``network.onnx``. Its facts hold
        ``max_abs_difference``.

    Raises
    ------
    InputError
        The extra ``export`` is not installed, the architecture cannot be written, or the model
        says something else than the network.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    source = open_artefact(config.network, "network")
    sizes = config.sizes
    if sizes == "auto":
        sizes = "any" if "level" in source.facts else "fixed"
    settings = fields_with_role(config, Role.SETTING) | {"sizes": sizes}
    settings.pop("seed")
    inputs = (source.as_input("start"),)
    identity = Identity("network", "export", VERSION, settings, inputs, config.seed)

    def work(draft: Draft) -> Artefact:
        network = load_network(source)
        with reporter.task("writing and checking the ONNX model", 2) as task:
            model, facts = _checked(network, any_size=sizes == "any", seed=config.seed, task=task)
        with draft.writing(ONNX) as path:
            path.write_bytes(model)
        write_network_files(draft, network, _trained(source), card=_card(source))
        if TUNED_ON in source.files:
            with draft.writing(TUNED_ON) as path:
                path.write_bytes(source.file(TUNED_ON).read_bytes())
        reporter.note(
            f"{len(model):,} bytes; largest difference of a logit from PyTorch's "
            f"{facts['max_abs_difference']:.1e}"
        )
        return draft.finish(dict(source.facts) | facts, fields_with_role(config, Role.EXECUTION))

    return make_once(config.out, identity, work, reporter)


def _checked(
    network: Network, *, any_size: bool, seed: int, task: Any
) -> tuple[bytes, dict[str, Any]]:
    """Make the model and compare it with the network."""
    from histograft.learning.export import OPSET, largest_difference, to_onnx

    model = to_onnx(network, any_size=any_size)
    task.advance()
    side = network.spec.patch_px
    shapes = [(1, side, side), (3, side, side)]
    if any_size:
        shapes += [(1, side + BEYOND, side), (2, 2 * side, side + BEYOND)]
    found = largest_difference(network, model, shapes, seed=seed)
    task.advance()
    if not found <= MOST_DIFFERENT:
        raise InputError(
            f"logits of the ONNX model differ from PyTorch's by up to {found:.2g}, more than "
            f"{MOST_DIFFERENT:g}",
            "use the safetensors of the network, or other versions of torch and onnxruntime",
        )
    tried = [list(shape) for shape in shapes]
    return model, {
        "onnx_opset": OPSET,
        "any_size": any_size,
        "max_abs_difference": found,
        "shapes_tried": tried,
    }


def _card(source: Artefact) -> str | None:
    """Return the card of the network, with the file that is added."""
    if CARD not in source.files:
        return None
    text = source.file(CARD).read_text(encoding="utf-8")
    row = "| specification | `network.json` |\n"
    more = f"| the same from normalized images to logits | `{ONNX}` |\n"
    return text.replace(row, row + more, 1)


def _trained(source: Artefact) -> dict[str, Any]:
    known = json.loads(source.file(SPECIFICATION).read_text(encoding="utf-8"))
    trained: dict[str, Any] = known.get("trained", {})
    return trained

"""The card of a network: what it is, how it came about, and how to load it elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.identity import Identity, Input

if TYPE_CHECKING:
    from histograft.learning.network import Network, NetworkSpec

CARD = "README.md"
TAGS = ("histology", "pathology", "feature-extraction", "transfer-learning", "histograft")
# Keyword arguments of Part A that timm itself does not take.
OURS = {"tf_same", "bn_eps", "norm_groups"}
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_OPTIONS = {
    "task": "task of its classes", "tune": "layers tuned", "hidden": "dense layers",
    "epochs_head": "epochs, Part B", "lr_head": "learning rate, Part B",
    "epochs_all": "epochs, Part A or all", "lr_all": "learning rate, Part A or all",
    "batch_size": "patches a step", "augment": "augmentation",
    "augment_head": "augmentation, Part B", "class_weights": "classes weighed alike",
    "select": "epoch kept",
}  # fmt: skip
TEXT = """\
---
{header}
---

# {title}

## What it is

A `{architecture}` {origin} that ends in \
{gap_size:,} pooled features (Part A){hidden}, tuned to tell {n_classes} kinds of tissue apart. It \
is meant {purpose}.

| | |
|---|---|
| tensors of Part A | timm's names in `network.safetensors` |
| tensors of Part B | `part_b.hidden.0.weight` … `part_b.output.bias` in the same file |
| specification | `network.json` |
| images it was tuned on, as hashes | `tuned_on.parquet` |

## Input

RGB images of {size} at {mpp}. Values are divided by 255, then
(value - mean) / std by channel, with mean {mean} and std {std}.
{scale}

## Classes

{classes}

## How it was trained

On the training rows of `{data}`, from {start}, with seed {seed}.

{options}

`manifest.json` holds everything, with versions of packages and a SHA-256 of each file.

## How to load it

In this folder; `model` gives the pooled features:

```python
{load}
```

The dense features and the classes of normalized images `x` (N, 3, H, W):

```python
{use}
```

## Use and limits

For research: {research}. It is no medical
device, and no number here says how well it does. It was tuned on one set of images from its
laboratories and scanners; on others, at another scale, or on other stains it may do worse, which
{measured} measure on your own images. Images that it was tuned on must not
be tested on: `histograft` refuses them by `tuned_on.parquet`.

## License

{license} The images that it was tuned on have terms of their own: look them up before you pass the
network on.

## Citation

{citation}
"""
TIMM = "of [timm](https://github.com/huggingface/pytorch-image-models)"
DIPALMA = (
    "(a narrow residual network with GroupNorm: DiPalma et al. 2021, "
    "doi:[10.1016/j.artmed.2021.102136](https://doi.org/10.1016/j.artmed.2021.102136))"
)
_OF_PATCHES = {
    "purpose": "as an extractor of features from images of hematoxylin and eosin",
    "research": "to compute features of tiles, and to see what tissue they show",
    "measured": "`histograft predict` and `compare`",
}
_OF_PIECES = {
    "purpose": "to see whole pieces of tissue, stained with hematoxylin and eosin, at a low scale",
    "research": "to see what whole pieces of tissue show (`histograft classify`)",
    "measured": "`histograft rescale` and `classify`",
}
_PIECE_OPTIONS = {
    "tune": "layers tuned", "epochs": "epochs, at most", "select": "epoch kept",
    "judge": "what is best on validation pieces", "optimizer": "optimizer", "lr": "learning rate",
    "weight_decay": "weight decay", "batch_size": "pieces a step", "augment": "augmentation",
    "class_weights": "classes weighed alike", "norm": "mean and std of",
    "temperature": "temperature", "soft_weight": "weight of the loss on answers",
    "pixel_weight": "weight of the loss on maps", "resize": "the teacher's map shrunk by",
    "unlabelled_share": "share of the unlabelled pieces",
}  # fmt: skip
FTX = (
    "Tuning in two steps and the dense features are those of Li X, Cen M, Xu J, Zhang H, Xu XS. "
    "Improving feature extraction from histopathological images through a fine-tuning ImageNet "
    "model. J Pathol Inform 2022; doi:[10.1016/j.jpi.2022.100115]"
    "(https://doi.org/10.1016/j.jpi.2022.100115)."
)


def model_card(
    network: Network, identity: Identity, data: str, scale: str = "a scale that was not stated"
) -> str:
    """Write the card of a network as Markdown with a YAML header, as Hugging Face reads it.

    Parameters
    ----------
    network : Network
        The network.
    identity : Identity
        What decided what it is: settings and first weights.
    data : str
        Name of the patches that it was tuned on.
    scale : str
        What to call the scale of its images where their µm/px are unknown.

    Returns
    -------
    str
        The text of ``README.md``; it names no place and no person.
    """
    spec = network.spec
    start = next((i for i in identity.inputs if i.role == "start"), None)
    sizes = ", ".join(f"{size:,}" for size in spec.hidden)
    known = spec.mpp is not None
    of_pieces = identity.verb == "distill"
    return TEXT.format(
        header=_header(data),
        title=f"{spec.architecture} tuned on {data}",
        architecture=spec.architecture,
        gap_size=network.gap_size,
        hidden=f", with dense layers of {sizes} on top (Part B)" if spec.hidden else "",
        n_classes=len(spec.classes),
        **(_OF_PIECES if of_pieces else _OF_PATCHES),
        origin=DIPALMA if spec.architecture == "dipalma_resnet10" else TIMM,
        size=_any_size(network) if of_pieces else f"{spec.patch_px} x {spec.patch_px} px",
        mpp=f"{spec.mpp:g} µm/px" if known else scale,
        mean=_numbers(spec.mean),
        std=_numbers(spec.std),
        scale="Bring images to this scale first; a magnification does not state it."
        if known
        else "Use it on images of the same scale only.",
        classes="\n".join(f"{i}. {name}" for i, name in enumerate(spec.classes)),
        data=data,
        start=_start(start) + _teacher(identity.inputs),
        seed=identity.seed,
        options=_options(identity.config, _PIECE_OPTIONS if of_pieces else _OPTIONS),
        load=loading_lines(spec),
        use=_using_lines(spec),
        license=_license(network, start),
        citation=FTX if identity.config.get("tune") == "two-step" else _plain_citation(spec),
    )


def loading_lines(spec: NetworkSpec) -> str:
    """Write the lines of Python that load Part A in the folder of the network."""
    kwargs = dict(spec.kwargs)
    if OURS & set(kwargs):  # timm's own constructors do not take these
        package = "from histograft.learning.architectures import create_part_a"
        make = f"create_part_a({spec.architecture!r}, {kwargs!r})"
    else:
        package = "import timm"
        more = "".join(f", {name}={value!r}" for name, value in sorted(kwargs.items()))
        make = f"timm.create_model({spec.architecture!r}, num_classes=0{more})"
    return "\n".join(
        [
            package,
            "from safetensors.torch import load_file",
            'state = load_file("network.safetensors")',
            f"model = {make}.eval()",
            'model.load_state_dict({k: v for k, v in state.items() if k[:7] != "part_b."})',
        ]
    )


def _using_lines(spec: NetworkSpec) -> str:
    lines = ["import torch", "dense = model(x)"]
    for i in range(len(spec.hidden)):
        layer = f"part_b.hidden.{i}"
        lines.append(
            f'dense = torch.relu(dense @ state["{layer}.weight"].T + state["{layer}.bias"])'
        )
    last = 'dense @ state["part_b.output.weight"].T + state["part_b.output.bias"]'
    ending = "sigmoid()" if spec.task == "multilabel" else "softmax(dim=1)"
    return "\n".join([*lines, f"probabilities = ({last}).{ending}"])


def _header(data: str) -> str:
    lines = ["library_name: timm", "pipeline_tag: image-feature-extraction", "tags:"]
    lines += [f"- {tag}" for tag in TAGS]
    if _HUB_NAME.fullmatch(data):  # others cannot be names of data sets on the hub
        lines += ["datasets:", f"- {json.dumps(data)}"]
    return "\n".join(lines)


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def _start(start: Input | None) -> str:
    if start is None or start.kind == "random":
        return "random weights"
    if start.kind == "network":
        return f"the network `{start.name}` (id {start.id[:16]}…), which has a card of its own"
    what = "ImageNet weights of timm" if start.name == "imagenet" else f"the weights `{start.name}`"
    return f"{what} (SHA-256 {start.id[:16]}…)"


def _teacher(inputs: Sequence[Input]) -> str:
    """Say by whom it was taught, and on what."""
    teacher = next((i for i in inputs if i.role == "teacher"), None)
    if teacher is None:
        return ""
    unlabelled = [i.name for i in inputs if i.role == "unlabelled"]
    on = f"unlabelled pieces (`{unlabelled[0]}`)" if unlabelled else "these pieces"
    return (
        f", to answer as the network `{teacher.name}` (id {teacher.id[:16]}…) does to {on} at its "
        "finer scale, without labels"
    )


def _any_size(network: Network) -> str:
    return f"any size, both sides {network.stride} px or more,"


def _options(config: Mapping[str, Any], names: Mapping[str, str]) -> str:
    rows = [
        f"| {words} | {_cell(config[name])} |"
        for name, words in names.items()
        if config.get(name) is not None
    ]
    return "\n".join(["| option | value |", "|---|---|", *rows])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _license(network: Network, start: Input | None) -> str:
    if start is None or start.kind == "random":
        return "The first weights were random, so that no license comes with them."
    stated = (getattr(network.part_a, "pretrained_cfg", None) or {}).get("license")
    if start.name == "imagenet" and stated:
        return f"timm states the license {stated} for the first weights."
    if start.name == "imagenet":
        return "timm states no license for the first weights; ask their authors."
    return "The license of the first weights is not known here: look it up where you had them from."


def _plain_citation(spec: NetworkSpec) -> str:
    if spec.architecture == "dipalma_resnet10":
        return "Cite DiPalma et al. 2021 (network and distillation) and the authors of the images."
    return (
        f"Cite the authors of `{spec.architecture}` (timm names them) and of the images. "
        "If you tuned it in the two steps of Li 2022, cite doi:10.1016/j.jpi.2022.100115 as well."
    )

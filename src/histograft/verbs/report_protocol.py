"""How the numbers of a report came about: protocols, intervals, tests, training, words."""

from __future__ import annotations

import re
from typing import Any

from histograft.core.artefact import Artefact
from histograft.verbs.comparison_told import place, unit_words
from histograft.verbs.report_material import Compared

PROBES = {
    "svc": "linear support vector machine",
    "logistic": "logistic regression",
    "knn": "nearest neighbors",
}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD with momentum", "adamp": "AdamP"}
AUGMENTED = {"none": "no augmentation", "flips-turns": "random flips and quarter turns"}
WORDS = {
    "pooled features": "the network's output averaged over the image, before its dense layers",
    "dense features": "the output of the dense layer that was tuned on top of the pooled features",
    "shortcut": "a baseline that sees no tissue: mean color, color histogram, settings of the JPEG "
    "file. Where it comes near a network, the set is easy for the wrong reason",
    "cross-validation": "the set is cut into folds; each is predicted by a classifier that was "
    "fitted on the others",
    "held-out rows": "the classifier is fitted on the training rows of the same set and tested "
    "once on its test rows, which neither it nor the network has seen",
    "external test": "the classifier is fitted on another set and tested once on this one",
    "group": "what must stay on one side of a split: the patient, else the slide or source image",
    "95 % interval": "where the number would lie with other groups (or patches) of the same kind; "
    "it leaves out other laboratories, scanners and trainings",
    "adjusted p, p (Holm)": "p value made larger because several tests are made: if only those "
    "below 0.05 count as findings, the chance of any false one among them is 5 % at most",
    "near duplicates": "pairs of images that look alike to a perceptual hash, turned or flipped",
}


def words(compared: Compared, said: str) -> dict[str, str]:
    """Explain the words of a page, the names of its models first.

    Parameters
    ----------
    compared : Compared
        The comparison.
    said : str
        All that the page says.

    Returns
    -------
    dict of str to str
        What each word means that is said.
    """
    random = any(label.startswith("START") for label in compared.labels.values())
    before, after = ("START", "TUNED") if random else ("IMGNET", "FTX")
    weights = "random" if random else "those of ImageNet, or what the network began with"
    names = {
        before: f"features of the network as it was before tuning (weights: {weights})",
        after: "features of the network after tuning",
    }
    meant = {name: text for name, text in names.items() if re.search(rf"\b{name}\b", said)}
    return meant | {word: text for word, text in WORDS.items() if _is_said(word, said.casefold())}


def _is_said(words_for_one: str, said: str) -> bool:
    """Whether any of some words for one thing is said, be it of one or of several."""
    stems = (word.removesuffix("s").casefold() for word in words_for_one.split(", "))
    return any(re.search(rf"(?<!\w){re.escape(stem)}s?(?!\w)", said) for stem in stems)


def protocol(compared: Compared) -> dict[str, str]:
    """Say by topic how the numbers of a comparison came about.

    Parameters
    ----------
    compared : Compared
        The comparison.

    Returns
    -------
    dict of str to str
        One entry for each data set and protocol, one on intervals, one on tests.
    """
    n_tests = int(compared.comparisons["p_adjusted"].notna().sum())
    described = {place(block): _described(block) for block in compared.blocks}
    if not compared.blocks:  # what is said of molecules stands with them
        return {}
    described["Intervals"] = (
        "95 %, percentile bootstrap over the resampled unit; they say how the number varies with "
        "the cases, given the fitted models"
    )
    if not n_tests:
        return described
    described["Tests"] = (
        "Cross-validation: corrected resampled t test on the accuracies of the folds (Nadeau and "
        "Bengio 2003, doi:10.1023/A:1024068626366). Held-out rows, external test: McNemar, or sign "
        "flips over groups where a group has several patches. Holm's correction over the "
        f"{n_tests} tests of tissue types in this report"
    )
    return described


def _described(block: dict[str, Any]) -> str:
    unit = unit_words(block)
    if block["ci_unit"] == "patch":
        unit = "patches (no group is known)"
    size = f"{block['n_units']:,} patches, {len(block['classes'])} classes; resampled: {unit}"
    rows = "its test rows" if block["rows"] == "test" else "all rows"
    probe = PROBES.get(block["probe"], block["probe"])
    if block["protocol"] in ("external", "held-out"):
        fit = f"{block['n_fit']:,} patches of {block['fit_on']}"
        return f"{probe} fitted on {fit}, tested once on {rows}: {size}"
    grouped = "groups kept together" if block["grouped"] else "not grouped"
    return (
        f"{block['repeats']} × {block['folds']}-fold stratified cross-validation, {grouped}, on "
        f"{rows}, {probe}: {size}"
    )


def training(artefact: Artefact) -> tuple[str, ...]:
    """Say how a network was trained, from the configuration that its manifest holds.

    Parameters
    ----------
    artefact : Artefact
        A network artefact of `train`.

    Returns
    -------
    tuple of str
        What was tuned, how, and which rows chose the weights that were kept.
    """
    config, facts = artefact.manifest["config"], artefact.facts
    if artefact.manifest["verb"] != "train":
        name = network_name(artefact)
        return (f"{name[0].upper()}{name[1:]} was made by {artefact.manifest['verb']}.",)
    return (
        f"{_began(artefact)} {_steps(config)} {_how(config)}",
        f"Weights were fitted to the {facts['n_train']:,} training patches of "
        f"{facts['tuned_on']} only. {_kept(config, facts)} No test row had a part in it.",
    )


def network_name(artefact: Artefact) -> str:
    """Call a network by its folder, unless that says no more than what it is."""
    name = artefact.path.resolve().name
    return "the network" if name == "network" else f"the network `{name}`"


def _began(artefact: Artefact) -> str:
    name = f"{network_name(artefact)} ({artefact.facts['architecture']})"
    name = name[0].upper() + name[1:]
    starts = [i for i in artefact.manifest["inputs"] if i["role"] == "start"]
    if not starts:
        return f"{name}."
    start = starts[0]
    if start["kind"] == "random":
        return f"{name} began with random weights."
    what = "the network" if start["kind"] == "network" else "the weights"
    return f"{name} began with {what} {start['name']}."


def _epochs(n: int) -> str:
    return "1 epoch" if n == 1 else f"{n} epochs"


def _steps(config: dict[str, Any]) -> str:
    def step(part: str, epochs: str, rate: str, augment: str) -> str:
        most = "up to " if config["patience"] is not None else ""
        return (
            f"{part}: {most}{_epochs(config[epochs])}, learning rate {config[rate]:g}, "
            f"{AUGMENTED[config[augment]]}"
        )

    head = ("epochs_head", "lr_head", "augment_head")
    body = ("epochs_all", "lr_all", "augment")
    if config["tune"] == "two-step":
        first = step("Step 1 tuned the dense layers (Part B), the rest frozen", *head)
        return f"{first}. {step('Step 2 tuned the rest (Part A), the dense layers frozen', *body)}."
    if config["tune"] == "head":
        return f"{step('Only the dense layers (Part B) were tuned', *head)}."
    if config["tune"] == "body":
        return f"{step('All but the dense layers (Part A) was tuned', *body)}."
    return f"{step('All layers were tuned', *body)}."


def _how(config: dict[str, Any]) -> str:
    parts = [
        OPTIMIZERS.get(config["optimizer"], config["optimizer"]),
        f"batches of {config['batch_size']}",
    ]
    if config["schedule"] != "constant":
        parts.append(f"{config['schedule']} schedule of the learning rate")
    if config["weight_decay"]:
        parts.append(f"weight decay {config['weight_decay']:g}")
    if config["class_weights"]:
        parts.append("each class counts alike in the loss")
    if config["precision"] != "32-true":
        parts.append(f"precision {config['precision']}")
    return f"{', '.join(parts)}."


def _kept(config: dict[str, Any], facts: dict[str, Any]) -> str:
    rows = f"{facts['n_val']:,} validation patches"
    lines = []
    if config["patience"] is not None:
        lines.append(
            f"A step ended after {_epochs(config['patience'])} without a lower loss on the {rows}."
        )
    if config["select"] == "best":
        best = facts["best_epoch"]
        epoch = "" if best is None else f", epoch {best} in the last step"
        lines.append(f"The weights with the lowest loss on the {rows} were kept{epoch}.")
    else:
        lines.append("The weights of the last epoch were kept.")
    if config["patience"] is None and config["select"] == "last":
        lines.append("Validation patches chose nothing." if facts["n_val"] else "")
    return " ".join(filter(None, lines))

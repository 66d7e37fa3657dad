"""What a distillation does between its pieces and its artefact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft, open_artefact
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.verbs.networks import (
    TUNED_ON,
    load_network,
    load_spec,
    seen_in,
    tuned_on,
    write_network_files,
    write_tuned_on,
)
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_pairs import Joined, Pieces, Sets, development_rows, unlabelled_rows
from histograft.verbs.training import HISTORY, StepTeller, label_array

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.distill import PieceRegime, PieceResult
    from histograft.learning.distillation_loss import DistillationLoss
    from histograft.learning.network import Network, NetworkSpec
    from histograft.learning.pieces import PieceSource
    from histograft.verbs.distill import Distill

SCORES = "scores.parquet"


def distill_and_write(
    config: Distill,
    sets: Sets,
    networks: tuple[Artefact | None, Artefact | None],
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    """Train, predict the pieces that were held back, and write the artefact."""
    import pandas as pd

    teacher, start = networks
    table = load_patches(sets.coarse)
    rows = {split: table[table["split"] == split] for split in ("train", "val", "test")}
    if rows["train"].empty and not (sets.unlabelled and not config.with_labelled):
        raise InputError(f"{sets.coarse.path} has no training pieces", "rescale it with splits")
    spec = _spec(config, sets.coarse, rows["train"], teacher)
    network = _first(config, spec, start)
    result = _learn(config, sets, rows, network, teacher, draft, reporter)
    with draft.writing(HISTORY) as path:
        pd.DataFrame(result.history).to_csv(path, index=False)
    held_out = pd.concat([rows["val"], rows["test"]])
    if len(held_out):
        with draft.writing(SCORES) as path:
            _scores(config, network, sets.coarse, held_out).to_parquet(path, index=False)
    write_tuned_on(draft, _seen(sets, config.unlabelled_share, networks))
    on, level = sets.coarse.facts["dataset"], float(sets.coarse.facts["level"])
    scale = "the native scale" if level == 1 else f"1/{level:g} of the native scale"
    relative = {"scale": scale} if sets.coarse.facts["scale"] == "relative" else {}
    write_network_files(draft, network, {"on": on, "best_epoch": result.best_epoch} | relative)
    reporter.note(_last_line(result))
    facts = _facts(network, result, sets, rows, config.unlabelled_share)
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _spec(
    config: Distill, coarse: Artefact, train: pd.DataFrame, teacher: Artefact | None
) -> NetworkSpec:
    from histograft.learning.network import NetworkSpec

    mean, std = coarse.facts.get("mean"), coarse.facts.get("std")
    if config.norm == "teacher" and teacher is not None:
        known = load_spec(teacher)
        mean, std = known.mean, known.std
    if not mean or not std:
        raise InputError(
            f"{coarse.path} does not state mean and std of its training pieces",
            "make it by `histograft rescale`, with training pieces",
        )
    if min(std) == 0:
        raise InputError(
            f"the training pieces of {coarse.path} are all of one color",
            "give pieces of tissue; blank ones can be taken out of the table",
        )
    pieces = Pieces(coarse, train)
    sides = sorted(min(pieces.shape(i)) for i in range(len(train)))
    level = float(coarse.facts["level"])
    return NetworkSpec(
        architecture=config.arch,
        classes=tuple(coarse.facts["classes"]),
        kwargs={"norm_groups": config.norm_groups},
        hidden=(),
        patch_px=sides[len(sides) // 2] if sides else 32,
        mpp=level if coarse.facts["scale"] == "mpp" else None,
        mean=tuple(mean),
        std=tuple(std),
    )


def _first(config: Distill, spec: NetworkSpec, start: Artefact | None) -> Network:
    from histograft.learning.distill import drawn_network

    if start is not None:
        return load_network(start)
    return drawn_network(spec, seed=config.seed, taught=config.teacher is not None)


def _learn(
    config: Distill,
    sets: Sets,
    rows: dict[str, pd.DataFrame],
    network: Network,
    teacher: Artefact | None,
    draft: Draft,
    reporter: Reporter,
) -> PieceResult:
    from histograft.learning.distill import Pieces as Split
    from histograft.learning.distill import distill, fit_pieces
    from histograft.learning.regime import RunOptions

    def split(name: str) -> Split | None:
        part = rows[name]
        fine = None if sets.fine is None else Pieces(sets.fine, _same(sets.fine, part))
        images: PieceSource = Pieces(sets.coarse, part)
        return Split(images, label_array(part, network.spec), fine) if len(part) else None

    regime = _regime(config)
    train = _with_unlabelled(config, sets, split("train"))
    n_steps = -(-len(train) // regime.batch_size)
    title = "learning from labels" if teacher is None else "learning from the teacher"
    with reporter.task(title, regime.epochs * n_steps) as task:
        run = RunOptions(
            device=config.device,
            checkpoint_dir=draft.work,
            on_step=StepTeller(task, regime.epochs, reporter),
        )
        if teacher is None:
            return fit_pieces(network, train, split("val"), regime=regime, run=run)
        known, loss = load_network(teacher), _loss(config)
        judges = _development(config, sets, network.spec) or split("val")
        return distill(network, known, train, judges, loss=loss, regime=regime, run=run)


def _same(fine: Artefact, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the fine artefact that hold the same pieces, in the same order."""
    return load_patches(fine).set_index("patch_id", drop=False).loc[list(rows["patch_id"])]


def _at_both(coarse: Artefact, fine: Artefact, rows: pd.DataFrame) -> tuple[Pieces, Pieces]:
    """Pieces of some rows of the coarse artefact, at both scales."""
    return Pieces(coarse, rows), Pieces(fine, _same(fine, rows))


def _with_unlabelled(config: Distill, sets: Sets, train: Any) -> Any:
    """Pieces that a student learns from: the training pieces, unlabelled ones, or both."""
    from histograft.learning.distill import Pieces as Split

    if sets.unlabelled is None or sets.unlabelled_fine is None:
        return train
    rows = unlabelled_rows(sets, config.unlabelled_share)
    more = _at_both(sets.unlabelled, sets.unlabelled_fine, rows)
    if not config.with_labelled or train is None:
        return Split(more[0], None, more[1])
    return Split(Joined(train.images, more[0]), None, Joined(train.fine, more[1]))


def _development(config: Distill, sets: Sets, spec: NetworkSpec) -> Any:
    """Pieces of the development split, which judge students of unlabelled pieces; else None."""
    from histograft.learning.distill import Pieces as Split

    if sets.unlabelled is None or sets.unlabelled_fine is None:
        return None
    rows = development_rows(sets)
    known = set(rows["label"]) <= set(spec.classes)
    if rows.empty or (config.judge == "macro-f1" and not known):
        return None
    coarse, fine = _at_both(sets.unlabelled, sets.unlabelled_fine, rows)
    return Split(coarse, label_array(rows, spec) if known else None, fine)


def _loss(config: Distill) -> DistillationLoss:
    from histograft.learning.distillation_loss import DistillationLoss

    return DistillationLoss(
        temperature=config.temperature,
        soft_weight=config.soft_weight,
        pixel_weight=config.pixel_weight,
        resize=config.resize,
        reduction=config.reduction,
        antialias=config.antialias,
    )


def _regime(config: Distill) -> PieceRegime:
    from histograft.learning.distill import PieceRegime

    return PieceRegime(
        tune=config.tune,
        optimizer=config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        epochs=config.epochs,
        batch_size=config.batch_size,
        augment=config.augment,
        class_weights=config.class_weights,
        patience=config.patience,
        select=config.select,
        judge=config.judge,
        precision=config.precision,
        checkpointing=config.checkpointing,
        pass_pixels=config.pass_pixels or None,
        seed=child_seed(config.seed, "distill", config.tune),
    )


def _scores(
    config: Distill, network: Network, coarse: Artefact, rows: pd.DataFrame
) -> pd.DataFrame:
    """Probabilities of the pieces that were held back."""
    from histograft.learning.piece_scores import piece_probabilities

    found = piece_probabilities(
        network,
        Pieces(coarse, rows),
        device=config.device,
        pass_pixels=config.pass_pixels or None,
    )
    known = ["patch_id", "dataset", "group", "group_source", "split"]
    known += ["slide_id"] if "slide_id" in rows and rows["slide_id"].notna().any() else []
    table = rows[known].reset_index(drop=True)
    table["truth"] = rows["label"].to_numpy()
    classes = network.spec.classes
    table["predicted"] = [classes[i] for i in found.argmax(axis=1)]
    for i, name in enumerate(classes):
        table[f"p:{name}"] = found[:, i]
    return table


def _seen(
    sets: Sets, share: float, networks: tuple[Artefact | None, Artefact | None]
) -> set[tuple[str, str]]:
    """Return which images and groups the weights have seen, now or before, or their teacher."""
    table = load_patches(sets.coarse)
    seen = seen_in(table[table["split"].isin(("train", "val"))])
    if sets.unlabelled is not None:
        seen |= seen_in(unlabelled_rows(sets, share)) | seen_in(development_rows(sets))
    for network in networks:
        if network is not None and TUNED_ON in network.files:
            seen |= tuned_on(open_artefact(Path(network.path), "network"))
    return seen


def _facts(
    network: Network,
    result: PieceResult,
    sets: Sets,
    rows: dict[str, pd.DataFrame],
    share: float,
) -> dict[str, Any]:
    from histograft.learning.cost import mean_macs

    held_out = rows["test"] if len(rows["test"]) else rows["train"]
    pieces = Pieces(sets.coarse, held_out)
    spec = network.spec
    return {
        "architecture": spec.architecture,
        "classes": list(spec.classes),
        "mean": list(spec.mean),
        "std": list(spec.std),
        "tuned_on": sets.coarse.facts["dataset"],
        "level": sets.coarse.facts["level"],
        "scale": sets.coarse.facts["scale"],
        "n_train": len(rows["train"]),
        "n_val": len(rows["val"]),
        "n_unlabelled": len(unlabelled_rows(sets, share)) if sets.unlabelled else 0,
        "n_development": len(development_rows(sets)) if sets.unlabelled else 0,
        "macs_per_piece": mean_macs(spec, [pieces.shape(i) for i in range(len(pieces))]),
        "best_epoch": result.best_epoch,
        # Without its time: the same work has the same facts.
        "last": {k: v for k, v in result.history[-1].items() if v is not None and k != "seconds"},
    }


def _last_line(result: PieceResult) -> str:
    last = result.history[-1]
    text = f"epoch {last['epoch']}: training loss {last['train_loss']:.3f}"
    if last["val_loss"] is not None:
        text += f"; validation loss {last['val_loss']:.3f}"
    if last["val_accuracy"] is not None:
        text += f", accuracy {last['val_accuracy']:.3f}, macro F1 {last['val_macro_f1']:.3f}"
    return text

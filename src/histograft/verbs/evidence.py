"""What networks look at: which patches, which class, and how its map lies over a mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.reporter import Task
from histograft.core.seeds import generator

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.cam import CamSettings
    from histograft.learning.network import Network
    from histograft.verbs.patch_images import PatchImages

BLOCK = 64  # patches in memory at once
PRESENT = 0.5  # probability from which a multi-label network says that a label is there


@dataclass(frozen=True)
class Look:
    """A patch, and a class to look for in it.

    Attributes
    ----------
    row : int
        Position of the patch in the table.
    label : str or None
        The class; None for whatever a network takes the patch for.
    mask : bool array, shape (H, W), or None
        Where the class is.
    """

    row: int
    label: str | None
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Masks:
    """Where masks of patches are, and what their codes mean.

    Attributes
    ----------
    folder : Path
        Holds a mask at the place that the patch has below ``images``.
    codes : dict of int to str
        Classes of the codes; empty where anything but 0 is the class of the patch.
    tolerance_px : float
        See `histograft.stats.pointing.point`.
    """

    folder: Path
    codes: dict[int, str]
    tolerance_px: float

    def file(self, file_name: str) -> Path:
        """Place of a patch's mask, whether there is one or not."""
        path = PurePosixPath(file_name)
        return self.folder / PurePosixPath(*path.parts[1:]).with_suffix(".png")

    def mask(self, file_name: str, label: str, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Where a class is in a patch; None without a mask, or where it is nowhere in it."""
        import numpy as np

        from histograft.imaging.read import decode_mask

        path = self.file(file_name)
        if not path.is_file():
            return None
        codes = decode_mask(path.read_bytes(), f"mask {path.name}")
        if codes.shape != shape[:2]:
            raise InputError(
                f"the mask {path.name} has {codes.shape[1]} x {codes.shape[0]} px, its patch "
                f"{shape[1]} x {shape[0]} px",
                "give masks of the patches, not of the images that they were cut from",
            )
        wanted = [code for code, name in self.codes.items() if name == label]
        there: NDArray[np.bool_] = np.isin(codes, wanted) if self.codes else codes != 0
        return there if there.any() else None


def shuffled(table: pd.DataFrame, seed: int) -> list[int]:
    """Positions of all rows in random order, class after class in turn.

    However many of them are taken from the front, classes are as even as they can be.
    """
    import numpy as np

    queues = []
    for label in sorted(table["label"].unique()):
        rows = np.flatnonzero((table["label"] == label).to_numpy(bool))
        queues.append(generator(seed, "patches to explain", label).permutation(rows).tolist())
    longest = max(map(len, queues), default=0)
    return [int(queue[i]) for i in range(longest) for queue in queues if i < len(queue)]


def looks_without_masks(
    table: pd.DataFrame, order: Sequence[int], n: int, *, of_truth: bool
) -> list[Look]:
    """List what to look for in the first `n` patches: labels, or what networks take them for."""
    chosen = list(order[:n])
    if not of_truth:
        return [Look(row, None) for row in chosen]
    labels = table["label"].tolist()
    return [Look(row, label) for row in chosen for label in labels[row].split("|")]


def looks_with_masks(
    table: pd.DataFrame, images: PatchImages, order: Sequence[int], n: int, masks: Masks
) -> list[Look]:
    """List what to look for in the first `n` patches that have one of their labels in a mask.

    Raises
    ------
    InputError
        There is none.
    """
    found: list[Look] = []
    n_patches = 0
    shape = images.image(order[0]).shape
    for row in order:
        if n_patches == n:
            break
        name, label = str(table["file_name"].iloc[row]), str(table["label"].iloc[row])
        own = [(one, masks.mask(name, one, shape)) for one in label.split("|")]
        looks = [Look(row, one, mask) for one, mask in own if mask is not None]
        found += looks
        n_patches += bool(looks)
    if not found:
        raise InputError(
            f"no patch has its class in a mask below {masks.folder.name}",
            f"put masks where patches are below images (such as "
            f"{masks.file(str(table['file_name'].iloc[order[0]])).relative_to(masks.folder)}), "
            "and say with --mask-classes what their codes mean",
        )
    return found


@dataclass(frozen=True)
class Seen:
    """What one network makes of one look.

    Attributes
    ----------
    look : Look
        What was looked for.
    found : float32 array, shape (H, W)
        The map.
    cells : dict
        A row of the table.
    remark : str
        What is wrong with the prediction, "" where nothing is.
    """

    look: Look
    found: NDArray[np.float32]
    cells: dict[str, Any]
    remark: str


def see(
    network: Network,
    images: PatchImages,
    table: pd.DataFrame,
    looks: Sequence[Look],
    settings: CamSettings,
    device: tuple[str, int],
    task: Task,
) -> Iterator[Seen]:
    """Make the map and the prediction of one network for each look.

    Parameters
    ----------
    network : Network
        The network.
    images, table
        Patches, and what is known of them; row i of one is patch i of the other.
    looks : sequence of Look
        What to look for.
    settings : CamSettings
        How maps are made.
    device : (str, int)
        Device and batch size.
    task : Task
        Is told of each look.

    Yields
    ------
    Seen
        In the order of the looks.
    """
    import numpy as np

    from histograft.learning.apply import class_scores
    from histograft.learning.cam import class_maps

    where: dict[str, Any] = {"device": device[0], "batch_size": device[1]}
    names = list(network.spec.classes)
    for start in range(0, len(looks), BLOCK):
        block = looks[start : start + BLOCK]
        pixels = np.stack([images.image(look.row) for look in block])
        scores = class_scores(network, pixels, **where)
        wanted = [
            int(score.argmax()) if look.label is None else names.index(look.label)
            for look, score in zip(block, scores, strict=True)
        ]
        maps = class_maps(network, pixels, wanted, settings, **where)
        for look, score, index, found in zip(block, scores, wanted, maps, strict=True):
            patch = table.iloc[look.row]
            cells, remark = _judged(network, str(patch["label"]), score, index)
            yield Seen(look, found, {"patch_id": patch["patch_id"]} | cells, remark)
            task.advance()


def _judged(
    network: Network, label: str, score: NDArray[np.float32], index: int
) -> tuple[dict[str, Any], str]:
    """Compare a prediction with the truth; a truth that the network has no class for is not."""
    names, truth = network.spec.classes, set(label.split("|"))
    shown, best = names[index], names[int(score.argmax())]
    cells = {"truth": label, "shown": shown, "probability": float(score[index])}
    known = truth <= set(names)
    if network.spec.task == "multilabel":
        there = {name for name, value in zip(names, score, strict=True) if value >= PRESENT}
        cells |= {"predicted": "|".join(n for n in names if n in there)}
        right = there == truth
        wrong = "" if (shown in there) == (shown in truth) else "missed"
        wrong = "is not there" if wrong and shown not in truth else wrong
    else:
        cells |= {"predicted": best}
        right = best in truth
        wrong = "" if right else "wrong" if best == shown else f"taken for {best}"
    return cells | {"right": right if known else None}, wrong if known else ""


def refuse_unknown_classes(network: Network, name: str, looks: Sequence[Look]) -> None:
    """Refuse to look for a class that a network does not have."""
    unknown = {look.label for look in looks if look.label} - set(network.spec.classes)
    if unknown:
        raise InputError(
            f"{name} has no class {', '.join(sorted(map(str, unknown)))}",
            f"its classes are {', '.join(network.spec.classes)}; use --shown predicted without "
            "masks, or a network that was tuned on such patches",
        )


def pointing_cells(found: NDArray[Any], mask: NDArray[Any], tolerance_px: float) -> dict[str, Any]:
    """How a map lies over a mask, as cells of the table."""
    from histograft.stats.pointing import point

    return point(found, mask, tolerance_px=tolerance_px)._asdict()

"""Make a folder of images and a samples.csv of a release that keeps its images in HDF5 files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.files import write_bytes, written_atomically
from histograft.core.reporter import SILENT, Reporter, Task
from histograft.core.seeds import child_seed
from histograft.verbs.patching import png
from histograft.verbs.text_tables import read_text_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.catalogue.entry import ArrayFiles, Entry

SAMPLES_FILE = "samples.csv"
ORIGIN_FILE = "import.json"
BLOCK = 512  # images in memory at a time: 14 MB of PCam


def import_arrays(
    entry: Entry,
    folder: Path,
    out: Path,
    *,
    per_class: Mapping[str, int] | None = None,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Path:
    """Write the images of HDF5 files as PNG, and a samples.csv with label, group, split and µm/px.

    Parameters
    ----------
    entry : Entry
        A data set with `arrays`.
    folder : pathlib.Path
        Folder with the files of the release, unpacked.
    out : pathlib.Path
        Folder for the images; new, empty, or that of the same import, which goes on.
    per_class : mapping of str to int, optional
        Split to the most images of one class; others are not written.
    seed : int
        Seed of which images are drawn.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    pathlib.Path
        The samples.csv, which is written last.

    Raises
    ------
    InputError
        The set has no arrays, files are missing or do not fit together, or `out` holds something
        else.
    """
    import pandas as pd

    if not entry.arrays:
        raise InputError(
            f"{entry.name} is released as images, there is nothing to import",
            "give its folder to histograft standardize",
        )
    limits = dict(per_class or {})
    origin = {"data_set": entry.name, "per_class": limits, "seed": seed}
    if _is_done(out, origin):
        return out / SAMPLES_FILE
    chosen = {part.split: _choose(entry, part, folder, limits, seed) for part in entry.arrays}
    _claim(out, origin)
    rows: list[dict[str, Any]] = []
    with reporter.task(f"{entry.name}: images", sum(map(len, chosen.values()))) as task:
        for part in entry.arrays:
            rows += _write_images(entry, part, folder, out, chosen[part.split], task)
    with written_atomically(out / SAMPLES_FILE) as path:
        pd.DataFrame(rows).to_csv(path, index=False)
    return out / SAMPLES_FILE


def _is_done(out: Path, origin: dict[str, Any]) -> bool:
    """Whether the same import has already been finished in the folder; refuse another's."""
    note = out / ORIGIN_FILE
    if note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != origin:
            raise InputError(f"{out} holds another import", "choose another --out")
        return (out / SAMPLES_FILE).is_file()
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty", "choose a new or empty --out")
    return False


def _claim(out: Path, origin: dict[str, Any]) -> None:
    """Note in the folder whose it is, once it is known that there is something to write."""
    out.mkdir(parents=True, exist_ok=True)
    with written_atomically(out / ORIGIN_FILE) as path:
        path.write_text(json.dumps(origin, indent=1), encoding="utf-8")


def _choose(
    entry: Entry, part: ArrayFiles, folder: Path, limits: Mapping[str, int], seed: int
) -> NDArray[np.intp]:
    """Positions of the images of one split that are wanted, ascending."""
    import numpy as np

    from histograft.stats.subsample import draw_per_class

    labels = _labels(entry, part, folder)
    kept = draw_per_class(
        labels,
        np.full(len(labels), part.split),
        limits,
        seed=child_seed(seed, "import", entry.name),
    )
    return np.flatnonzero(kept)


def _labels(entry: Entry, part: ArrayFiles, folder: Path) -> NDArray[np.str_]:
    import numpy as np

    with _open(folder / part.labels, entry) as file:
        numbers = np.asarray(_data_set(file, "y", part.labels)).reshape(-1)
    names = np.array([c.label for c in entry.classes])
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
        raise InputError(
            f"{part.labels} has class numbers up to {numbers.max()}; {entry.name} has "
            f"{len(names)} classes",
            "use the file as it was released",
        )
    return names[numbers.astype(np.intp)]


def _groups(part: ArrayFiles, folder: Path, n_images: int) -> list[str]:
    """Group of each image."""
    path = folder / part.facts
    if not path.is_file():
        raise InputError(
            f"{folder} lacks {part.facts}, which says what slide each image is from",
            "put it beside the images: without it slides cannot be kept apart",
        )
    groups = read_text_table(path, [part.group])[part.group].tolist()
    if len(groups) != n_images:
        raise InputError(
            f"{part.facts} has {len(groups)} rows for {n_images} images", "copy the files again"
        )
    return groups


def _write_images(
    entry: Entry,
    part: ArrayFiles,
    folder: Path,
    out: Path,
    chosen: NDArray[np.intp],
    task: Task,
) -> Iterator[dict[str, Any]]:
    labels = _labels(entry, part, folder)
    groups = _groups(part, folder, len(labels))
    with _open(folder / part.images, entry) as file:
        images = _data_set(file, "x", part.images)
        if len(images) != len(labels):
            raise InputError(
                f"{part.images} has {len(images)} images, {part.labels} {len(labels)} labels",
                "copy the files again",
            )
        for start in range(0, len(chosen), BLOCK):
            positions = chosen[start : start + BLOCK]
            pixels = _read_rows(images, positions)
            for position, image in zip(positions.tolist(), pixels, strict=True):
                label = str(labels[position])
                name = f"images/{part.split}/{label}/{part.split}-{position:07d}.png"
                if not (out / name).is_file():  # written whole by an interrupted import
                    write_bytes(out / name, png(image))
                task.advance()
                yield {
                    "file": name,
                    "label": label,
                    "group": groups[position],
                    "split": part.split,
                    "mpp": entry.mpp,
                }


def _read_rows(images: Any, positions: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Read some rows: side by side at once, which HDF5 does far faster than one by one."""
    import numpy as np

    first, last = int(positions[0]), int(positions[-1])
    if last - first < 4 * len(positions):
        block: NDArray[np.uint8] = images[first : last + 1][positions - first]
        return block
    return np.stack([images[int(position)] for position in positions])


def _open(path: Path, entry: Entry) -> Any:
    import h5py

    packed = path.with_name(f"{path.name}.gz")
    if not path.is_file():
        where = f"download it; `histograft catalogue {entry.name}` says from where"
        fix = f"unpack {packed.name} (gzip -d)" if packed.is_file() else where
        raise InputError(f"{path} does not exist", fix)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is no HDF5 file ({error})", "copy or unpack it again") from error


def _data_set(file: Any, key: str, name: str) -> Any:
    if key not in file:
        raise InputError(f"{name} holds no data set {key!r}", "use the file as it was released")
    return file[key]

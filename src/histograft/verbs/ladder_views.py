"""What teacher and students look at on the same field, each at its own scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.verbs.evidence import shuffled
from histograft.verbs.evidence_page import MAPS_CAPTION
from histograft.verbs.ladder_tables import BASELINE, HEADLINE, TEACHER, Judged, Rung
from histograft.verbs.ladder_told import coarsest, condition_name, scale_name
from histograft.verbs.networks import load_network
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_pairs import Pieces
from histograft.verbs.report_sections import Sketch

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.cam import CamCell
    from histograft.figures.page import Section
    from histograft.learning.network import Network

MOST_PIXELS = 2**24  # of a field at the teacher's scale: its map needs the gradients of all layers
MOST_STUDENTS = 3
TEXT = (
    "Grad-CAM++ (Chattopadhay et al. 2018, https://doi.org/10.1109/WACV.2018.00097) of the last "
    "stage, for the class that each network takes the field for. Fields were drawn from the test "
    "pieces; each network sees its own scale, as the grey image beneath its map shows, and is the "
    "first of its seeds. A place of a map is 32 px of its network's scale, so students' maps are "
    f"coarser; of more than {MOST_STUDENTS} scales the finest two and the coarsest are shown.",
)


def views_section(
    judged: Judged, patches: Sequence[Artefact], n: int, sketch: Sketch, device: str
) -> Section | None:
    """Draw the maps of the teacher and of the answer's condition at its levels.

    Parameters
    ----------
    judged : Judged
        The ladder.
    patches : sequence of Artefact
        Of the levels; only levels that are among them can be shown.
    n : int
        Fields to show.
    sketch : Sketch
        Where the figure is written.
    device : str
        "auto", "cpu" or "cuda".

    Returns
    -------
    Section or None
        None where nothing is to be shown, or pieces are not at hand or all too large.
    """
    from histograft.figures.cam import CamRow, cam_overlays
    from histograft.figures.page import Section

    by_level = {float(p.facts["level"]): p for p in patches if "level" in p.facts}
    rungs = [rung for rung in shown_rungs(judged) if rung.level in by_level]
    if not n or len(rungs) < 2 or rungs[0] is not judged.rungs[0]:
        return None
    fields = drawn_fields(by_level[rungs[0].level], n, sketch.seed)
    if fields.empty:
        return None
    columns = []
    for rung in rungs:
        rows = load_patches(by_level[rung.level]).set_index("patch_id", drop=False)
        pieces = Pieces(by_level[rung.level], rows.loc[list(fields["patch_id"])])
        columns.append(cells(load_network(rung.networks[0]), pieces, list(fields["label"]), device))
    first = Pieces(by_level[rungs[0].level], fields)
    drawn = [
        CamRow(first.image(i), label, row)
        for i, (label, row) in enumerate(
            zip(fields["label"], zip(*columns, strict=True), strict=True)
        )
    ]
    words = {TEACHER: "teacher", BASELINE: "baseline"}
    names = [f"{words.get(rung.condition, 'student')}, {scale_name(rung)}" for rung in rungs]
    picture = sketch.picture(cam_overlays(drawn, names), "views", MAPS_CAPTION)
    told = f"Beside the teacher: {condition_name(rungs[1])}."
    return Section("What teacher and student look at", text=(*TEXT, told), figures=(picture,))


def shown_rungs(judged: Judged) -> list[Rung]:
    """Return the teacher and the condition of the answer from fine to coarse.

    Where there is no answer, it is the condition that is best at the coarsest scale. Of more than
    three levels the finest two and the coarsest are taken.
    """
    found = coarsest(judged)
    if found is not None:
        condition = found[0].key[1:]
    else:
        last = max(rung.level for rung in judged.rungs[1:])
        at_last = [m for m, rung in enumerate(judged.rungs) if m and rung.level == last]
        taught = [m for m in at_last if judged.rungs[m].condition != BASELINE]
        at_last = taught or at_last
        best = max(at_last, key=lambda m: judged.draws.value(m, HEADLINE))
        condition = judged.rungs[best].key[1:]
    students = sorted(
        (rung for rung in judged.rungs[1:] if rung.key[1:] == condition), key=lambda r: r.level
    )
    if len(students) > MOST_STUDENTS:
        students = [*students[: MOST_STUDENTS - 1], students[-1]]
    return [judged.rungs[0], *students]


def drawn_fields(fine: Artefact, n: int, seed: int) -> pd.DataFrame:
    """Draw test pieces, class after class in turn, among those that are not too large."""
    table = load_patches(fine)
    table = table[table["split"] == "test"].sort_values("patch_id").reset_index(drop=True)
    pieces = Pieces(fine, table)
    small = [i for i in range(len(table)) if pieces.shape(i)[0] * pieces.shape(i)[1] <= MOST_PIXELS]
    table = table.iloc[small].reset_index(drop=True)
    return table.iloc[shuffled(table, seed)[:n]].reset_index(drop=True)


def cells(network: Network, pieces: Pieces, labels: Sequence[str], device: str) -> list[CamCell]:
    """Make one network's map of each piece, for the class that it takes it for."""
    from histograft.figures.cam import CamCell
    from histograft.learning.cam import class_maps
    from histograft.learning.piece_scores import piece_probabilities

    classes = network.spec.classes
    scores = piece_probabilities(network, pieces, device=device)
    made = []
    for i, label in enumerate(labels):
        image, best = pieces.image(i).copy(), int(scores[i].argmax())  # torch wants to write
        found = class_maps(network, image[None], [best], device=device)[0]
        wrong = "" if classes[best] == label else "wrong"
        made.append(CamCell(found, classes[best], float(scores[i, best]), wrong, image))
    network.cpu()
    return made

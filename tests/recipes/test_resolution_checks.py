"""What a ladder cannot be trained on is said before the first training."""

import pytest
from small_pieces import write_pieces

from histograft.core.errors import InputError
from histograft.recipes.resolution_checks import check_trainings
from histograft.verbs.distill import Distill
from histograft.verbs.rescale import Rescale, rescale


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Patients of two pieces at 1, 2 and 4: labelled, without validation, and unlabelled."""
    root = tmp_path_factory.mktemp("pieces")
    write_pieces(root / "set", 16, splits=("train", "train", "dev", "test"))
    write_pieces(root / "plain", 16, splits=("train", "test"))
    write_pieces(root / "more", 8, first=100, splits=("train",))
    write_pieces(root / "overlap", 16)
    for name in ("set", "plain", "more", "overlap"):
        for level in (1, 2, 4):
            out = root / f"{name}-pieces" / f"{level}"
            config = Rescale(root / name, out=out, level=float(level), scale="relative", workers=1)
            rescale(config)
    return root


def trainings(root, name="set", more="more", shares=(1.0,), levels=(2,), **options):
    """A teacher at 1, and students of unlabelled pieces at coarser levels."""
    options = {"norm_groups": 8, "select": "last"} | options
    fine, teacher = root / f"{name}-pieces" / "1", root / "teacher"
    unlabelled = root / f"{more}-pieces"
    return [Distill(fine, out=teacher, **options)] + [
        Distill(
            root / f"{name}-pieces" / f"{level}", out=root / "kd", teacher=teacher, fine=fine,
            unlabelled=unlabelled / f"{level}", unlabelled_fine=unlabelled / "1",
            unlabelled_share=share, **options,
        )
        for level in levels
        for share in shares
    ]  # fmt: skip


def test_a_ladder_that_can_be_trained(folders):
    check_trainings(trainings(folders, shares=(0.5, 1.0), select="best"))


@pytest.mark.parametrize(
    ("options", "problem", "fix"),
    [
        # 64 px at a quarter are 16 px
        ({"levels": (2, 4)}, "level 4 are smaller than the network's stride of 32 px", "--ladder"),
        ({"name": "plain", "select": "best"}, "plain has none", "--val-of-train 0.15"),
        (
            {"more": "overlap"},
            "shares 4 images .12.png, .* and 1 more. and 2 groups .p6, p7.",
            "take them out",
        ),
        # four patients of two pieces: 40 and 50 % both take two of them
        ({"shares": (0.4, 0.5)}, "share 0.4. and .* are both 4 pieces", "further apart"),
    ],
)
def test_what_cannot_be_is_told_at_once(folders, options, problem, fix):
    with pytest.raises(InputError, match=problem) as caught:
        check_trainings(trainings(folders, **options))
    assert fix in caught.value.fix

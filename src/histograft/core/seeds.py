"""Named child seeds of one root seed.

Each use of chance has a name, so that adding one use never changes the numbers of another,
and the order in which parts of a program run does not matter.
"""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def child_seed(root: int, *names: str | int) -> int:
    """Derive the seed of a named use of chance.

    Parameters
    ----------
    root : int
        The seed that the user gave, 0 or above.
    *names : str or int
        The path of the use, such as ``"split", "colon"``.

    Returns
    -------
    int
        A seed in 0 … 2**63 - 1: the first 63 bits of SHA-256 over root and names.

    Examples
    --------
    >>> child_seed(0, "split") == child_seed(0, "split")
    True
    >>> child_seed(0, "split") == child_seed(0, "order")
    False
    """
    if root < 0:
        raise ValueError(f"a seed is 0 or above, not {root}")
    text = "\x1f".join([str(int(root)), *map(_spelled, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _spelled(name: str | int) -> str:
    # NumPy's strings and integers count as Python's: tables hand out either.
    return f"str:{name}" if isinstance(name, str) else f"int:{operator.index(name)}"


def generator(root: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's default generator, seeded with `child_seed`.

    Examples
    --------
    >>> float(generator(0, "demo").random()) == float(generator(0, "demo").random())
    True
    """
    import numpy as np  # here, so that help and import stay light

    return np.random.default_rng(child_seed(root, *names))

"""Hot loops, compiled when they are first called.

Importing this module loads numba, so it is imported inside the functions that use it. Compiled code
is kept beside the source, or, where that folder cannot be written, in the cache folder of the user
(numba chooses; ``NUMBA_CACHE_DIR`` overrides). Where neither can be written each process compiles
anew, in some seconds. numba notices that a file has changed, not that a file has which it imports:
compiled functions call compiled functions of their own file only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

# Loops may be reordered as far as vectors of comparisons need: there is no NaN, and -0 is 0.
# Sums keep their order, infinities their meaning.
_NO_NAN = {"nnan", "nsz"}
_SUMS = {"nnan", "nsz", "reassoc", "contract"}


def compiled(
    *, parallel: bool = False, reorder_sums: bool = False, inline: bool = False
) -> Callable[[F], F]:
    """Return a decorator that compiles a function of arrays and numbers.

    Parameters
    ----------
    parallel : bool
        Let ``prange`` use several threads.
    reorder_sums : bool
        Sums may be added in another order and by fused multiplications: faster, and the last digit
        depends on the machine.
    inline : bool
        Compile into the callers.

    Returns
    -------
    callable
        The decorator.
    """
    options: dict[str, Any] = {
        "fastmath": _SUMS if reorder_sums else _NO_NAN,
        "parallel": parallel,
        "nogil": True,
        "error_model": "numpy",
    }
    if inline:
        options["forceinline"] = True

    def decorate(function: F) -> F:
        try:
            result: F = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            # No folder of the cache can be written.
            result = numba.njit(**options)(function)
        return result

    return decorate

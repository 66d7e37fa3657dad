"""What is true of the phantom slides, and what so few patients can show of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def known_truth(
    follows: Mapping[str, str],
    shares: Mapping[str, NDArray[Any]],
    mutated: Mapping[str, NDArray[Any]],
    expression: Mapping[str, NDArray[Any]],
) -> str:
    r"""Say which genes follow the tissue, how well they could be told, and what chance alone does.

    Without any signal the area under the ROC curve of m patients with and n without a mutation has
    the standard deviation :math:`\sqrt{(m + n + 1) / (12 m n)}`, and a correlation over N patients
    :math:`1 / \sqrt{N - 1}`; scores of a cross-validation spread somewhat more.

    Parameters
    ----------
    follows : mapping of str to str
        Genes that follow a tissue, and which.
    shares : mapping of str to array, shape (N,)
        For each tissue its true share of the slide of each patient.
    mutated : mapping of str to array of bool, shape (N,)
        Mutation status by gene.
    expression : mapping of str to array of float, shape (N,)
        Expression by gene.

    Returns
    -------
    str
        Some sentences for people.

    References
    ----------
    Mann HB, Whitney DR. On a test of whether one of two random variables is stochastically larger
    than the other. Ann Math Stat 1947; doi:10.1214/aoms/1177730491.

    Examples
    --------
    >>> import numpy as np
    >>> share = np.arange(20) / 20
    >>> status = {"A": share > 0.5, "B": share < 0.5}
    >>> print(known_truth({"A": "tumor"}, {"tumor": share}, status, {}))  # doctest: +ELLIPSIS
    Known truth of the slides: A follows the share of tumor; B follows nothing. ...
    """
    import numpy as np

    from histograft.stats.auc import auc

    genes = [*mutated, *expression]
    nothing = [gene for gene in genes if gene not in follows]
    told = [
        f"{_list([g for g in genes if follows.get(g) == tissue])} the share of {tissue}"
        for tissue in dict.fromkeys(follows[g] for g in genes if g in follows)
    ]
    sentences = ["Known truth of the slides: " + "; ".join([*told, f"{_list(nothing)} nothing"])]
    best = [
        f"{gene} an AUC of {float(auc(status, shares[follows[gene]])):.2f}"
        for gene, status in mutated.items()
        if gene in follows
    ]
    best += [
        f"{gene} a correlation of {np.corrcoef(values, shares[follows[gene]])[0, 1]:.2f}"
        for gene, values in expression.items()
        if gene in follows
    ]
    if best:
        sentences.append("Who knew the true shares would reach for " + ", for ".join(best))
    n = len(next(iter(shares.values())))
    sentences.append(_by_chance(n, mutated))
    return ". ".join(sentences) + "."


def _by_chance(n: int, mutated: Mapping[str, NDArray[Any]]) -> str:
    """Say in which range numbers of genes without any signal lie."""
    worst = 0.0
    for status in mutated.values():
        m = int(status.sum())
        if 0 < m < n:
            worst = max(worst, 1.96 * math.sqrt((n + 1) / (12 * m * (n - m))))
    r = 1.96 / math.sqrt(n - 1)
    ranges = [f"AUCs from {0.5 - worst:.2f} to {0.5 + worst:.2f}"] if worst else []
    ranges.append(f"correlations from {-r:.2f} to {r:.2f}")
    return (
        f"But {n} patients prove nothing: genes without any signal reach {' and '.join(ranges)} in "
        "19 of 20 cohorts, so a single number here says little, and a gene that follows nothing "
        "can well beat one that follows the tissue"
    )


def _list(genes: list[str]) -> str:
    words = ", ".join(genes[:-1]) + (" and " if len(genes) > 1 else "") + "".join(genes[-1:])
    return f"{words} follow{'' if len(genes) > 1 else 's'}"

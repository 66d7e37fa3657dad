"""Which genes: named lists, random draws, and what a table does not have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from histograft.core.errors import InputError
from histograft.core.seeds import generator

# The nine genes of Li et al. 2022, "the nine most frequently mutated": they are not, but those of
# Coudray et al. 2018 (doi:10.1038/s41591-018-0177-5) without SETBP1.
LUAD_NINE = ("STK11", "TP53", "LRP1B", "NF1", "FAT1", "FAT4", "KEAP1", "EGFR", "KRAS")
# Examples of Fig. 5 of the same paper.
LI2022_EXPRESSION = (
    *("CD274", "CD3G", "TNFRSF9", "FGF7", "CYTIP"),
    *("RAC2", "RHBDF2", "CD53", "SH2D1A"),
)
GENE_LISTS = MappingProxyType({"LUAD_NINE": LUAD_NINE, "LI2022_EXPRESSION": LI2022_EXPRESSION})

_ENSEMBL_VERSION = re.compile(r"^(ENSG\d+)\.\d+(_PAR_Y)?$")
_DATE = re.compile(r"^(\d{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-\d{1,2})$")


@dataclass(frozen=True)
class GeneDraw:
    """Genes drawn at random.

    Attributes
    ----------
    genes : tuple of str
        In alphabetical order.
    sha256 : str
        Hash of these genes, to be reported with results: see `hash_genes`.
    """

    genes: tuple[str, ...]
    sha256: str


def draw_genes(genes: Iterable[str], n: int, seed: int) -> GeneDraw:
    """Draw genes at random, without replacement.

    The draw depends on which genes there are and on the seed, not on their order. Fewer genes of
    the same seed are among more.

    Parameters
    ----------
    genes : iterable of str
        Where to draw from; repetitions count once.
    n : int
        How many, 1 or more.
    seed : int
        0 or above.

    Returns
    -------
    GeneDraw

    Raises
    ------
    InputError
        There are fewer than `n` genes.

    Examples
    --------
    >>> draw_genes(["C", "B", "A"], 2, seed=0) == draw_genes(["A", "B", "C", "C"], 2, seed=0)
    True
    """
    pool = sorted(set(genes))
    if not 1 <= n <= len(pool):
        raise InputError(
            f"{n} genes cannot be drawn from {len(pool)}", f"draw 1 to {len(pool)} genes"
        )
    order = generator(seed, "draw of genes").permutation(len(pool))
    drawn = tuple(sorted(pool[i] for i in order[:n]))
    return GeneDraw(drawn, hash_genes(drawn))


def hash_genes(genes: Iterable[str]) -> str:
    r"""Return the SHA-256 of a set of genes: sorted, a line feed between, in UTF-8.

    ``sort -u genes.txt | head -c -1 | sha256sum`` gives the same in the C locale.

    Examples
    --------
    >>> hash_genes(["TP53", "KRAS"]) == hash_genes(["KRAS", "TP53", "TP53"])
    True
    """
    return hashlib.sha256("\n".join(sorted(set(genes))).encode()).hexdigest()


def match_genes(
    wanted: Sequence[str], present: Collection[str], source: str
) -> tuple[list[str], dict[str, str]]:
    """Divide wanted genes into those that a table has and those that it lacks.

    Parameters
    ----------
    wanted : sequence of str
        Genes, as the table should write them.
    present : collection of str
        Genes of the table.
    source : str
        Its name, for messages.

    Returns
    -------
    found : list of str
        In the order of `wanted`, each once.
    absent : dict of str to str
        The others, each with a hint: another spelling, or empty.

    Raises
    ------
    InputError
        The table has none of them.

    Examples
    --------
    >>> match_genes(["TP53", "Kras"], ["TP53", "KRAS", "EGFR"], "a.maf")
    (['TP53'], {'Kras': 'KRAS is there'})
    """
    there = set(present)
    unique = list(dict.fromkeys(wanted))
    found = [gene for gene in unique if gene in there]
    if not found:
        few = (", ".join(sorted(names)[:3]) for names in (set(unique), there))
        raise InputError(
            "{}: none of the {} wanted genes is in it (wanted: {} …; there: {} …)".format(
                source, len(unique), *few
            ),
            "write genes as the table does: both as symbols, or both as Ensembl or Entrez ids",
        )
    capitals = {gene.upper(): gene for gene in there}
    absent = {g: _hint(g, there, capitals) for g in unique if g not in there}
    return found, absent


def _hint(gene: str, there: set[str], capitals: dict[str, str]) -> str:
    if gene.upper() in capitals:
        return f"{capitals[gene.upper()]} is there"
    if _DATE.match(gene):
        return "a gene that a spreadsheet turned into a date?"
    # Few letters: a near name such as FAT2 for FAT1 is another gene.
    near = get_close_matches(gene, there, 1, 0.9) if len(gene) > 5 else []
    return f"{near[0]} is there" if near else ""


def plain_gene(name: str) -> str:
    """Return a gene's name as it is looked up: Ensembl ids without their version.

    Examples
    --------
    >>> plain_gene(" TP53"), plain_gene("ENSG00000141510.18")
    ('TP53', 'ENSG00000141510')
    """
    name = name.strip()
    ensembl = _ENSEMBL_VERSION.match(name)
    return name if ensembl is None else ensembl[1]

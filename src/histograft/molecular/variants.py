"""Which variants count as a mutation: the classes of a MAF, in named sets."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from histograft.core.errors import InputError

# Changes of the protein, as in the list of classes of the GDC's MAF format
# (https://docs.gdc.cancer.gov/Data/File_Formats/MAF_Format/).
NON_SILENT = frozenset(
    {
        "Missense_Mutation",
        "Nonsense_Mutation",
        "Nonstop_Mutation",
        "Frame_Shift_Del",
        "Frame_Shift_Ins",
        "In_Frame_Del",
        "In_Frame_Ins",
        "Splice_Site",
        "Translation_Start_Site",
    }
)
# Those that end or garble the protein.
TRUNCATING = frozenset({"Nonsense_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins", "Splice_Site"})
OTHER_CLASSES = frozenset(
    {
        "Silent",
        "Splice_Region",
        "Intron",
        "RNA",
        "lincRNA",
        "IGR",
        "3'UTR",
        "5'UTR",
        "3'Flank",
        "5'Flank",
        "Targeted_Region",
        "De_novo_Start_InFrame",
        "De_novo_Start_OutOfFrame",
        "Start_Codon_SNP",
        "Start_Codon_Del",
        "Start_Codon_Ins",
        "Stop_Codon_Del",
        "Stop_Codon_Ins",
        "Unknown",
    }
)
KNOWN_CLASSES = NON_SILENT | OTHER_CLASSES
CLASS_SETS = MappingProxyType(
    {"non-silent": NON_SILENT, "truncating": TRUNCATING, "any": KNOWN_CLASSES}
)
# Values of Mutation_Status, in small letters, that are no mutation of the tumor. cBioPortal does
# not load "None", "LOH" and "Wildtype" either.
NOT_SOMATIC = frozenset({"germline", "wildtype", "loh", "none"})


def resolve_classes(names: Iterable[str]) -> frozenset[str]:
    """Return the classes that count as a mutation.

    Parameters
    ----------
    names : iterable of str
        Sets (``non-silent``, ``truncating``, ``any``) or single classes of a MAF.

    Returns
    -------
    frozenset of str
        Values of Variant_Classification.

    Raises
    ------
    InputError
        A name is neither, or there is none.

    Examples
    --------
    >>> sorted(resolve_classes(["truncating", "Silent"]))[-2:]
    ['Silent', 'Splice_Site']
    """
    given = list(names)
    if not given:
        raise InputError("no variant class counts as a mutation", "state one or more classes")
    if unknown := [name for name in given if name not in CLASS_SETS and name not in KNOWN_CLASSES]:
        raise InputError(
            f"{unknown[0]!r} is no variant class",
            f"give {', '.join(CLASS_SETS)}, or classes as MAF files write them, such as "
            "Missense_Mutation",
        )
    return frozenset().union(*(CLASS_SETS.get(name, {name}) for name in given))

"""Which variants count as a mutation: the classes of a MAF, in named sets."""

from __future__ import annotations

from types import MappingProxyType

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

"""TCGA barcodes: which patient, tissue, site and kind of slide a name speaks of.

Rules of barcodes apply only to names that look like one. Any other name, such as a hospital's own,
is kept as it stands and says nothing but itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

SlideKind = Literal["frozen", "diagnostic"]

PRIMARY_TUMOR = "01"
# R's read.table writes points for dashes, and some programs underscores.
_BARCODE = re.compile(
    r"TCGA[-._]([A-Z0-9]{2})[-._]([A-Z0-9]{4})(?:[-._](\d{2})([A-Z]?)(?![A-Z0-9]))?(?![A-Z0-9])",
    re.IGNORECASE,
)
_SLIDE = re.compile(r"[-._](TS|BS|MS|DX)[0-9A-Z]{0,2}(?![0-9A-Z])", re.IGNORECASE)


@dataclass(frozen=True)
class Barcode:
    """What a TCGA barcode says.

    Attributes
    ----------
    patient_id : str
        Its first 12 characters, in capitals: ``TCGA-05-4249``.
    site : str
        Tissue source site, characters 6-7: ``05``. It stands for a hospital.
    sample_type : str or None
        Characters 14-15: ``01`` primary tumor, ``11`` normal tissue beside it. None if the barcode
        ends before.
    slide_kind : {"frozen", "diagnostic"} or None
        Frozen sections are called TS, MS or BS (top, middle, bottom), diagnostic ones (fixed in
        formalin) DX. None where no slide is named.
    """

    patient_id: str
    site: str
    sample_type: str | None
    slide_kind: SlideKind | None

    @property
    def sample_id(self) -> str | None:
        """Patient and sample type, such as ``TCGA-05-4249-01``."""
        return None if self.sample_type is None else f"{self.patient_id}-{self.sample_type}"


def parse_barcode(name: str) -> Barcode | None:
    """Read a TCGA barcode of any length, or a file name that begins with one.

    Capitals do not matter, and points or underscores may stand for dashes.

    Parameters
    ----------
    name : str
        Barcode of a patient, sample, aliquot or slide.

    Returns
    -------
    Barcode or None
        None for a name that does not look like one.

    References
    ----------
    GDC Encyclopedia, "TCGA Barcode": https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/

    Examples
    --------
    >>> parse_barcode("TCGA-05-4249-01Z-00-DX1.9fce0297-cc19.svs")
    Barcode(patient_id='TCGA-05-4249', site='05', sample_type='01', slide_kind='diagnostic')
    >>> parse_barcode("tcga.05.4249.11A.01R.1858.07").sample_id
    'TCGA-05-4249-11'
    >>> parse_barcode("PAT-0017") is None
    True
    """
    text = name.strip()
    found = _BARCODE.match(text)
    if found is None:
        return None
    site, participant, sample_type, _ = found.groups()
    slide = _SLIDE.search(text, found.end())
    kind: SlideKind | None = None
    if slide is not None:
        kind = "diagnostic" if slide[1].upper() == "DX" else "frozen"
    return Barcode(f"TCGA-{site}-{participant}".upper(), site.upper(), sample_type, kind)


def patient_of(name: str) -> str:
    """Return the patient of a barcode; a name that is no barcode is the patient itself.

    Examples
    --------
    >>> patient_of("tcga-05-4249-01"), patient_of(" PAT-0017 ")
    ('TCGA-05-4249', 'PAT-0017')
    """
    barcode = parse_barcode(name)
    return name.strip() if barcode is None else barcode.patient_id

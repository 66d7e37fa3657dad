"""Lists of names: who was sequenced, and which genes are wanted."""

from __future__ import annotations

from itertools import takewhile
from typing import BinaryIO

from histograft.core.errors import InputError
from histograft.molecular.unpack import damage_explained, unpacked

_CASE_LIST_KEY = "case_list_ids:"
_SAMPLE_TITLES = frozenset(
    {"patient_id", "patient", "sample_id", "sample", "case_id", "barcode", "tumor_sample_barcode"}
)
_GENE_TITLES = frozenset({"gene", "genes", "symbol", "gene_symbol", "gene_name", "hugo_symbol"})


def parse_sequenced(stream: BinaryIO, name: str) -> list[str]:
    r"""Read who was sequenced: cBioPortal's ``cases_sequenced.txt``, or one name a line.

    A patient without a mutation is wild type only if somebody looked.

    Parameters
    ----------
    stream : binary file
        The list; names of patients, samples or aliquots.
    name : str
        Its name, for messages.

    Returns
    -------
    list of str
        Names as written, each once.

    Raises
    ------
    InputError
        The list is empty, or a line holds several names.

    Examples
    --------
    >>> import io
    >>> case_list = b"stable_id: a_sequenced\ncase_list_ids: TCGA-05-4249-01\tTCGA-05-4250-01\n"
    >>> parse_sequenced(io.BytesIO(case_list), "cases_sequenced.txt")
    ['TCGA-05-4249-01', 'TCGA-05-4250-01']
    """
    lines = _lines(stream, name)
    for number, line in enumerate(lines):
        if line.lower().startswith(_CASE_LIST_KEY):
            more = takewhile(lambda further: ":" not in further, lines[number + 1 :])
            return _unique(" ".join([line[len(_CASE_LIST_KEY) :], *more]).split(), name)
    return _unique(_one_a_line(lines, name, _SAMPLE_TITLES), name)


def parse_gene_list(stream: BinaryIO, name: str) -> list[str]:
    r"""Read a list of genes, one a line.

    Lines that begin with ``#`` are passed over, and so is a title such as ``gene``.

    Parameters
    ----------
    stream : binary file
        The list.
    name : str
        Its name, for messages.

    Returns
    -------
    list of str
        Names as written, each once, in the order of the list.

    Raises
    ------
    InputError
        The list is empty, or a line holds several names.

    Examples
    --------
    >>> import io
    >>> parse_gene_list(io.BytesIO(b"# nine genes\ngene\nTP53\nKRAS\nTP53\n"), "genes.txt")
    ['TP53', 'KRAS']
    """
    return _unique(_one_a_line(_lines(stream, name), name, _GENE_TITLES), name)


def _lines(stream: BinaryIO, name: str) -> list[str]:
    try:
        with damage_explained(name):
            text = unpacked(stream, name).read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", "save it as UTF-8") from error
    return [line.strip().strip('"') for line in text.splitlines()]


def _one_a_line(lines: list[str], name: str, titles: frozenset[str]) -> list[str]:
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#") or (not names and line.lower() in titles):
            continue
        if len(line.replace(",", " ").split()) > 1:
            raise InputError(
                f"{name}, line {number}: {line[:60]!r} is more than one name",
                "write one name a line",
            )
        names.append(line)
    return names


def _unique(names: list[str], name: str) -> list[str]:
    if not names:
        raise InputError(f"{name} names nobody and nothing", "write one name a line")
    return list(dict.fromkeys(names))

"""Write the column tables of ``docs/formats.md`` from `histograft.core.tables`.

Usage: ``python docs/make_tables.py``. It replaces what stands between ``<!-- columns: NAME -->``
and ``<!-- end -->``; the tests check that the page is current.
"""

from __future__ import annotations

import re
from pathlib import Path

from histograft.core import tables
from histograft.core.columns import Column, TableSpec

PAGE = Path(__file__).with_name("formats.md")
BLOCK = re.compile(r"(<!-- columns: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def specifications() -> dict[str, TableSpec]:
    """Return the table specifications by their names."""
    return {s.name: s for s in vars(tables).values() if isinstance(s, TableSpec)}


def column_table(spec: TableSpec) -> str:
    """Write the columns of a table as a Markdown table."""
    lines = ["| column | kind | must | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.kind} | {_duty(c)} | {c.meaning.replace('|', chr(92) + '|')} |"
        for c in spec.columns
    ]
    key = ", ".join(f"`{name}`" for name in spec.key)
    ending = f"\nNo two rows share {key}.\n" if key else ""
    return "\n".join(lines) + "\n" + ending


def _duty(column: Column) -> str:
    if not column.required:
        return "optional"
    return "present, may be empty" if column.nullable else "filled"


def updated(text: str) -> str:
    """Return the page with current column tables."""
    specs = specifications()
    return BLOCK.sub(lambda m: f"{m[1]}\n{column_table(specs[m['name']])}\n{m[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

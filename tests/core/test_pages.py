"""What the pages say of the repository is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import histograft

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "src" / "histograft"
PAGES = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
ARCHITECTURE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_architecture_page_names_every_room_and_no_other():
    named = set(re.findall(r"^├── (\w+)/|^└── (\w+)/", ARCHITECTURE, re.MULTILINE))
    rooms = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert {a or b for a, b in named} == rooms


@pytest.mark.parametrize("room", ["core", "verbs"])
def test_the_architecture_page_names_every_file(room):
    block = ARCHITECTURE.split(f"├── {room}/")[1].split("\n├──")[0]
    files = {p.name for p in (PACKAGE / room).glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\w+\.py", block)) == files


def commands(*words):
    """Names that the help of the command line lists."""
    command = [sys.executable, "-m", "histograft", *words, "--help"]
    wide = os.environ | {"COLUMNS": "200"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=wide).stdout
    return set(re.findall(r"^│ ([a-z][a-z-]+) ", told, re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_table_of_verbs_names_every_verb_and_no_other(page):
    section = (PROJECT / page).read_text(encoding="utf-8").split("\n## Verbs\n")[1]
    section = section.split("\n## ")[0]
    cells = " ".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
    named = re.findall(r"`([a-z]+)`", cells)
    assert len(named) == len(set(named))
    package = {n for n in histograft.__all__ if n.islower() and hasattr(histograft, n.title())}
    no_artefact = {"verify", "catalogue"}
    recipes = {"demo", "run"}
    assert package | no_artefact | recipes == commands()
    assert set(named) - no_artefact - recipes == package
    assert all(f"`{name}`" in section for name in no_artefact)
    assert set(re.findall(r"`run\s+([\w-]+)`", section)) == commands("run")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_ci_reads_the_readme():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    block = readme.split("<!-- test-command -->\n```bash\n")[1].split("```")[0].strip()
    assert "\n" not in block
    install, _, test = block.rpartition(" && ")
    assert 'pip install -q -e ".[test]"' in install
    assert test == ".venv/bin/python -m pytest -q -n auto --dist loadfile"
    script = PROJECT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_lock_names_versions_and_no_place():
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    locked = {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project.scripts]")[0].split("dependencies = [")[1]
    names = re.findall(r'^\s*"([a-z0-9-]+)', table, re.MULTILINE)
    assert len(names) > 15
    assert set(names) <= locked | {"histograft"}


def test_every_decision_has_its_number():
    names = sorted(path.name for path in (PROJECT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))

"""The generated pages, and the registry of codes, say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.cli import docs
from connector.cli.commands import COMMANDS, GROUPS
from connector.errors import CODES, ConnectorError
from connector.kpis import compute  # noqa: F401 - importing it declares every KPI
from connector.kpis.catalogue import BY_QUESTION, NAMES
from connector.kpis.definition import REGISTRY

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"SC-[EW]\d{3}")
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "connector").rglob("*.py"))}
REGISTERED_IN = ROOT / "connector" / "errors.py"


@pytest.mark.parametrize("name", ["COMMANDS.md", "KPIS.md", "ERRORS.md"])
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == docs.pages()[name], "run: make docs"


def test_every_command_stands_in_commands_md_with_its_options() -> None:
    page = docs.commands()
    for name in COMMANDS:
        section = page.split(f"\n## connector {name}\n")[1].split("\n## ")[0]
        assert f"[`{name}`](#connector-{name.replace(' ', '-')})" in page
        for option in re.findall(r"--[a-z-]+", " ".join(o for p in docs._find(name).params for o in p.opts)):
            assert f"`{option}" in section, (name, option)


def test_every_group_has_a_command() -> None:
    """``sandbox faults add`` stands in the group ``sandbox faults``, and that in ``sandbox``."""
    words = [name.split() for name in COMMANDS]
    assert set(GROUPS) == {" ".join(parts[:depth]) for parts in words for depth in range(1, len(parts))}


def test_a_table_cell_holds_no_bare_bar() -> None:
    for page in docs.pages().values():
        for block in re.findall(r"(?:^\|.*\n)+", page, re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_every_code_used_is_registered() -> None:
    used = {code: path for path, text in SOURCES.items() for code in CODE.findall(text)}
    assert not {code: str(path) for code, path in used.items() if code not in CODES}


def test_every_registered_code_is_used_or_reserved() -> None:
    raised = {code for path, text in SOURCES.items() if path != REGISTERED_IN for code in CODE.findall(text)}
    elsewhere = "\n".join(text for path, text in SOURCES.items() if path != REGISTERED_IN)
    raised |= {kind.default_code for kind in _kinds(ConnectorError) if re.search(rf"\b{kind.__name__}\(", elsewhere)}
    raised.add(ConnectorError.default_code)
    assert {code for code, c in CODES.items() if c.reserved is None} - raised == set()
    assert {code for code, c in CODES.items() if c.reserved is not None} & raised == set(), "no longer only reserved"


def _kinds(kind: type[ConnectorError]) -> set[type[ConnectorError]]:
    return {kind, *(below for child in kind.__subclasses__() for below in _kinds(child))}


def test_next_steps_name_commands_that_exist() -> None:
    for code, row in CODES.items():
        for words in re.findall(r"connector ((?:[a-z][a-z-]+ ?)+)", row.next_step):
            assert any(f"{words} ".startswith(f"{name} ") for name in COMMANDS), (code, words)


def test_the_catalogue_names_every_kpi_in_the_module_that_declares_it() -> None:
    assert set(REGISTRY) == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
    for question, names in BY_QUESTION.items():
        assert {n for n, k in REGISTRY.items() if k.rows.__module__ == f"connector.kpis.questions.{question}"} == set(names)


def test_kpis_md_has_every_kpi_with_its_five_facts() -> None:
    page = docs.kpis()
    for name, kpi in REGISTRY.items():
        section = page.split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert section.strip()[0] not in "*#", name
        for fact in (f"**Grain**: {kpi.grain}", "nit", "**Needs**:", "**Written back to**:"):
            assert fact in section, (name, fact)
        assert ">>>" not in section
        assert "``" not in section

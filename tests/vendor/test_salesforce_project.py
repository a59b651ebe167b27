"""What Salesforce's own tools say of an exported project: its structure, its package, its component."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from connector.crms.salesforce import bundle, project
from tests.crms.salesforce.wanted import MODES, made
from tests.vendor.conftest import ENVIRONMENT, Run

pytestmark = pytest.mark.vendor
VERSION = "68.0"


def exported(mode: str, root: Path) -> Path:
    for path, text in project.files(made(mode), VERSION).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def told(element: ElementTree.Element) -> object:
    """An element without white space between its parts, and without their order where that means nothing.

    The tool writes a report folder's name with a slash behind it, the Metadata API's guide without: an org takes both.
    """
    below = [told(child) for child in element]
    return (element.tag.rpartition("}")[2], sorted(below, key=repr) if below else (element.text or "").strip().rstrip("/"))


@pytest.mark.parametrize("mode", MODES)
def test_the_projects_structure_converts_to_what_the_connector_deploys_itself(mode: str, node_modules: Path, run: Run, tmp_path: Path) -> None:
    root, out = exported(mode, tmp_path / "sfdx"), tmp_path / "converted"
    run(node_modules / ".bin/sf", "project", "convert", "source", "--root-dir", "force-app", "--output-dir", out, cwd=root)
    ours = bundle.metadata_files(made(mode), VERSION)
    theirs = {str(path.relative_to(out)): path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file()}
    assert set(theirs) == set(ours)
    for path, text in ours.items():
        if path.endswith((".js", ".html")):
            assert theirs[path] == text
        else:
            assert told(ElementTree.fromstring(theirs[path])) == told(ElementTree.fromstring(text)), path


@pytest.mark.parametrize("mode", MODES)
def test_the_card_compiles_without_a_warning(mode: str, node_modules: Path, run: Run, tmp_path: Path) -> None:
    card = exported(mode, tmp_path / "sfdx") / "force-app/main/default/lwc/kpiScorecard"
    said = json.loads(run("node", ENVIRONMENT / "compile.cjs", card, cwd=ENVIRONMENT))
    assert {entry["file"] for entry in said} == {"kpiScorecard.html", "kpiScorecard.js"}
    assert [entry for entry in said if entry["warnings"] or entry["bytes"] < 500] == []

"""``connector init`` and what a wheel brings: a project that is valid from the first minute."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from connector.cli.main import main
from tests.cli.conftest import Run

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("template", ["medtech", "healthtech"])
@pytest.mark.parametrize(("crm", "files"), [("sandbox", {"salesforce", "hubspot"}), ("salesforce", {"salesforce"}), ("hubspot", {"hubspot"})])
def test_a_new_project_is_valid(crm: str, files: set[str], template: str, tmp_path: Path, run: Run) -> None:
    place = tmp_path / "new"
    code, made = run("init", str(place), "--crm", crm, "--template", template)
    assert (code, made["summary"]) == (0, {"project": str(place), "crm": crm, "template": template})
    assert set(made["result"]["files"]) == {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
    assert {"salesforce", "hubspot"} & {p.stem for p in (place / "mappings").glob("*.yaml")} == files
    code, checked = run("--project", str(place), "mapping", "check")
    assert (code, checked["summary"]["problems"], checked["error"]) == (0, 0, None)
    assert f"preset: {template}_core" in (place / "mappings" / "kpis.yaml").read_text(encoding="utf-8")
    assert stat.S_IMODE((place / "state").stat().st_mode) == 0o700
    code, settings = run("--project", str(place), "check", "--offline")
    assert (code, settings["summary"]["failed"]) == (0, 0)


def test_it_does_not_overwrite_unasked(tmp_path: Path, run: Run) -> None:
    assert run("init", str(tmp_path))[0] == 0
    mine = tmp_path / "mappings" / "stages.yaml"
    mine.write_text(mine.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    code, refused = run("init", str(tmp_path), "--crm", "hubspot")
    assert (code, refused["error"]["code"]) == (4, "SC-E010")
    assert "--yes" in refused["error"]["next"]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert run("init", str(tmp_path), "--yes")[0] == 0
    assert "# mine" not in mine.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--crm", "pipedrive"], ["--template", "biotech"], ["--port", "many"], ["one", "two"]])
def test_unknown_words_are_usage_errors(words: list[str], tmp_path: Path, run: Run) -> None:
    code, document = run("--project", str(tmp_path / "new"), "init", *words)
    assert (code, document["error"]["code"]) == (64, "SC-E002")
    assert not (tmp_path / "new").exists()


def test_it_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "a")]) == 0
    assert f"connector --project {tmp_path / 'a'} sandbox up" in capsys.readouterr().out
    assert main(["init", str(tmp_path / "b"), "--crm", "salesforce"]) == 0
    assert "CONNECTOR_CONNECTIONS__SF_PROD__CLIENT_SECRET" in capsys.readouterr().out


def test_schemas_go_into_the_project(tmp_path: Path, run: Run) -> None:
    assert run("init", str(tmp_path))[0] == 0
    code, made = run("--project", str(tmp_path), "mapping", "schema")
    assert code == 0
    assert {Path(f).parent for f in made["result"]} == {tmp_path / "mappings" / ".schema"}
    assert made["summary"]["files"] == len(list((tmp_path / "mappings" / ".schema").glob("*.schema.json"))) > 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without the network."""
    out = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_what_the_program_reads_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    starter = {f"connector/starter_mappings/{name}.yaml" for name in ("stages", "kpis", "salesforce", "hubspot")}
    assert names >= starter
    assert "connector/starter_mappings/inputs/fx.csv" in names
    versions = {p.relative_to(ROOT).as_posix() for p in (ROOT / "connector" / "state" / "migrations").rglob("*.py")}
    assert any("versions/" in name for name in versions)
    assert names >= versions
    data = {p.relative_to(ROOT).as_posix() for p in (ROOT / "connector").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert names >= data  # grammars and the like
    assert not {n for n in names if n.startswith(("tests/", "state/", "cassettes/")) or "/test_" in n or n.endswith(("golden.json", ".pyc"))}
    code = {p.relative_to(ROOT).as_posix() for p in (ROOT / "connector").rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == code
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_an_installed_wheel_starts_projects_from_its_own_mappings(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    line = [sys.executable, "-c", "import connector; print(connector.__file__); from connector.cli.main import run; run()", "init", "new"]
    done = subprocess.run(line, cwd=tmp_path / "site", capture_output=True, text=True, timeout=120, check=True)
    assert str(tmp_path / "site") in done.stdout
    assert (tmp_path / "site" / "new" / "mappings" / "stages.yaml").read_bytes() == (ROOT / "mappings" / "stages.yaml").read_bytes()

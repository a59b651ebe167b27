"""``connector report``: which files it writes, what it says, and whose names it shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import main
from tests.cli.test_imports import loaded
from tests.report.company import CONNECTION, company
from tests.report.conftest import GOLDEN_FILE

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with company(tmp_path_factory.mktemp("report") / "acme") as root:
        yield root


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("html", ["golden-2027-02-15.html"]),
        ("json", ["golden-2027-02-15.json"]),
        ("csv", ["golden-2027-02-15-measures.csv", "golden-2027-02-15-scrub.csv"]),
        ("parquet", ["golden-2027-02-15-measures.parquet", "golden-2027-02-15-scrub.parquet"]),
    ],
)
def test_files_of_a_book(run: Run, tmp_path: Path, format: str, names: list[str]) -> None:
    out = tmp_path / "some" / "where"
    code, document = run("report", "--from-file", GOLDEN_FILE, "--out", out, "--format", format)
    assert code == 0, document
    assert sorted(path.name for path in out.iterdir()) == names
    (made,) = document["result"]
    assert made["files"] == [str(out / name) for name in names]
    assert made["verdict"].startswith("Weighted coverage FY2027-Q1 0.93x · Weighted funnel USD 469,000")
    assert document["findings"] == []


def test_it_says_where_the_files_are_and_the_numbers_of_the_week(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from-file", str(GOLDEN_FILE), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == f"1 file of the weekly review in {tmp_path}"
    assert "golden, as of 2027-02-15: Weighted coverage FY2027-Q1 0.93x" in said
    assert str(tmp_path / "golden-2027-02-15.html") in said


def test_a_connection_of_a_project(run: Run, project: Path, tmp_path: Path) -> None:
    code, document = run("--project", project, "report", "--out", tmp_path)
    assert code == 0, document
    (made,) = document["result"]
    assert (made["connection"], Path(made["files"][0]).name) == (CONNECTION, f"{CONNECTION}-2026-11-20.html")
    text = Path(made["files"][0]).read_text(encoding="utf-8")
    assert "acme" in text
    assert "Blue Mesa Integrated Health - Beacon Navigator" in text
    lacking = {finding["message"] for finding in document["findings"]}
    assert f"weekly_three cannot be computed for {CONNECTION}: needs inputs/quotas.csv" in lacking


def test_names_are_omitted_where_the_project_says_so(run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_PRIVACY__DEAL_NAMES", "omit")
    for format in ("html", "json", "csv"):
        code, document = run("--project", project, "report", "--out", tmp_path, "--format", format)
        assert code == 0, document
    texts = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()]
    assert len(texts) == 4
    assert all("Blue Mesa" not in text for text in texts)
    assert any("006Sb000000004JIAQ" in text for text in texts)


def test_as_of_a_past_day(run: Run, project: Path, tmp_path: Path) -> None:
    code, document = run("--project", project, "report", "--out", tmp_path, "--as-of", "2026-09-30")
    assert code == 0, document
    assert [path.name for path in tmp_path.iterdir()] == [f"{CONNECTION}-2026-09-30.html"]
    assert "FY2026-Q3" in document["result"][0]["verdict"]


def test_a_file_has_its_own_as_of(run: Run, tmp_path: Path) -> None:
    code, document = run("report", "--from-file", GOLDEN_FILE, "--as-of", "2026-09-30", "--out", tmp_path)
    assert (code, document["error"]["code"]) == (64, "SC-E002")


def test_a_directory_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    code, document = run("report", "--from-file", GOLDEN_FILE, "--out", tmp_path / "taken")
    assert (code, document["error"]["code"]) == (4, "SC-E090")
    assert "cannot be written" in document["error"]["message"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    assert main(["report", "--from-file", str(GOLDEN_FILE), "--out", str(tmp_path), "--format", "pdf"]) == 64
    assert list(tmp_path.iterdir()) == []


def test_charts_are_loaded_for_a_page_only(tmp_path: Path) -> None:
    assert loaded("report", "--help") == set()
    words = ("report", "--from-file", str(GOLDEN_FILE), "--out", str(tmp_path), "--format", "csv")
    assert loaded(*words) == {"pydantic", "polars", "scipy"}

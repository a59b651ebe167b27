"""Targets of kpis.yaml: every slip at its place, with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app import App
from connector.cli.init import create
from connector.errors import Finding, MappingError
from connector.mapping import crosscheck

STARTER = "  - kpi: weighted_pipeline_coverage "


@pytest.fixture
def project(tmp_path: Path) -> Path:
    create(tmp_path, "sandbox", "medtech", port=9)
    return tmp_path


def write(project: Path, *lines: str) -> None:
    """The file's targets are these and no others."""
    path = project / "mappings" / "kpis.yaml"
    head, _, rest = path.read_text(encoding="utf-8").partition("targets:\n")
    tail = rest[rest.index("\n# A KPI whose input") :]
    path.write_text(head + "targets:\n" + "".join(f"  {line}\n" for line in lines) + tail, encoding="utf-8")


def findings(project: Path) -> list[Finding]:
    with App(project) as app:
        try:
            return [f for f in app.mapping_findings() if (f.path or "").startswith("targets")]
        except MappingError as error:
            return list(error.findings)


def place(project: Path, word: str) -> tuple[int, int]:
    lines = (project / "mappings" / "kpis.yaml").read_text(encoding="utf-8").splitlines()
    return next((n, line.index(word) + 1) for n, line in enumerate(lines, 1) if word in line)


def test_the_starters_targets_are_valid_and_name_their_sources(project: Path) -> None:
    assert findings(project) == []
    with App(project) as app:
        targets = app.definitions.kpis.targets
    assert {t.kpi for t in targets} >= {"weighted_pipeline_coverage", "data_health_score"}
    assert all(t.source for t in targets)


@pytest.mark.parametrize(
    ("lines", "token", "code", "path", "said", "suggestion"),
    [
        (("- {kpi: win_rat, at_least: 0.3}",), "win_rat,", "SC-E022", "targets[0].kpi", "unknown KPI win_rat", "win_rate"),
        (
            ("- {kpi: win_rate, at_least: 0.3}", "- {kpi: win_rate, variant: narow, at_least: 0.3}"),
            "narow", "SC-E022", "targets[1].variant", "unknown variant narow of win_rate", "narrow",
        ),
        (("- {kpi: win_rate, at_least: 0.3, no_go: {belov: 0.1}}",), "belov", "SC-E020", "targets[0].no_go.belov", "unknown key belov", "below"),
        (("- {kpi: win_rate, at_leest: 0.3}",), "at_leest", "SC-E020", "targets[0].at_leest", "unknown key at_leest", "at_least"),
        (("- {kpi: win_rate, at_least: 0.3, window: T12}",), "T12}", "SC-E020", "targets[0].window", '"T12" is no window', None),
        (("- {kpi: win_rate, at_least: 0.3, subject: owner}",), "owner}", "SC-E020", "targets[0].subject", '"owner" is no subject', None),
        (("- {kpi: win_rate, at_least: some}",), "some", "SC-E020", "targets[0].at_least", "a number is wanted here", None),
    ],
)  # fmt: skip
def test_a_slip_is_found_at_its_place(
    project: Path, lines: tuple[str, ...], token: str, code: str, path: str, said: str, suggestion: str | None
) -> None:
    write(project, *lines)
    found = next(f for f in findings(project) if said in f.message)
    assert (found.code, found.severity, found.path, found.suggestion) == (code, "error", path, suggestion)
    assert (found.file, found.line, found.column) == ("mappings/kpis.yaml", *place(project, token))


@pytest.mark.parametrize("unit", ["label", "list"])
def test_a_kpi_that_is_no_number_has_no_target(project: Path, unit: str) -> None:
    write(project, "- {kpi: win_rate, at_least: 1}")
    with App(project) as app:
        (found,) = crosscheck.targets(app.mappings.kpis_document, app.mappings.kpis, {"win_rate": {"": unit}})
    assert (found.code, found.path) == ("SC-E022", "targets[0].kpi")
    assert found.message == f"win_rate is a {unit}, not a number: it has no target"


def test_a_kpi_that_has_values_per_variant_only(project: Path) -> None:
    write(project, "- {kpi: weekly_three, at_least: 3}")
    (found,) = findings(project)
    assert found.message == "weekly_three has a value only per variant"
    assert found.next == "one of coverage, weighted_funnel, expected_arr, in_compliance_review"


def test_two_targets_that_say_the_same(project: Path) -> None:
    write(project, "- {kpi: win_rate, at_least: 0.3}", "- {kpi: win_rate, at_least: 0.2}")
    (found,) = findings(project)
    assert "targets 1 and 2 say the same thing twice" in found.message
    assert found.path == "targets"

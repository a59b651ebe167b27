"""Where a number came from, through the command line, down to ids that the CRM knows."""

from __future__ import annotations

import pytest

from connector.cli.main import main
from tests.acceptance.harness import Project


def test_a_number_and_its_records_explain_each_other(project: Project) -> None:
    project.ok("sync", "--pull-only")
    show = ("kpis", "show", "open_pipeline_value", "--connection", "sf-demo", "--evidence")
    (value,) = project.ok(*show, "--variant", "")["result"]["measures"]
    records = value["evidence"]
    assert sum(row["amount"] or 0 for row in records) == pytest.approx(value["value"])
    assert sum(row["amount"] is not None for row in records) == value["n"] > 20
    one = next(row for row in records if row["amount"])
    assert project.record("salesforce", one["opportunity"])["Amount"] == one["amount"]

    assert main(["--project", str(project.root), *show]) == 0
    assert f"20 of {len(records)} records · {len(records) - 20} more: --all" in project.say().out
    assert main(["--project", str(project.root), *show, "--all"]) == 0
    assert "more: --all" not in project.say().out

    explained = project.ok("explain", f"sf-demo:{one['opportunity']}", "--kpi", "open_pipeline_value")["result"]
    assert (explained["kind"], explained["id"]) == ("opportunity", one["opportunity"])
    company = next(m for m in explained["measures"] if (m["subject"], m["variant"]) == ("company", ""))
    assert company["evidence"] == [{k: v for k, v in one.items() if v is not None}]
    assert (company["value"], company["of_the_record"]) == (value["value"], False)


def test_any_record_of_either_crm_and_why_one_counts_nowhere(project: Project) -> None:
    project.ok("sync", "--pull-only")
    health = project.ok("kpis", "show", "data_health_score", "--connection", "hs-demo", "--evidence", "--subject", "all")["result"]["measures"]
    owner = next(m["subject"] for m in health if m["subject"].startswith("owner="))
    own = project.ok("explain", f"hs-demo:{owner.removeprefix('owner=')}", "--kpi", "data_health_score")["result"]
    assert (
        own["kind"] == "owner" or project.ok("explain", owner, "--connection", "hs-demo", "--kpi", "data_health_score")["result"]["kind"] == "owner"
    )

    ages = project.ok("kpis", "show", "deal_age", "--connection", "sf-demo")["result"]["measures"]
    still = {m["subject"] for m in project.ok("kpis", "show", "data_health_score", "--connection", "sf-demo")["result"]["measures"]}
    closed = next(m["subject"] for m in ages if m["subject"] not in still).removeprefix("opportunity=")
    nowhere = project.ok("explain", closed, "--kpi", "data_health_score")["result"]
    assert nowhere["measures"] == []
    assert nowhere["why_not"][0].split(" since ")[0] in ("won", "lost", "no decision")
    assert main(["--project", str(project.root), "explain", closed, "--kpi", "data_health_score"]) == 0
    assert f"  ├ {nowhere['why_not'][0]}" in project.say().out

    code, document = project.run("explain", "nobody", "--kpi", "data_health_score")
    assert (code, document["error"]["code"]) == (1, "SC-E184")
    code, document = project.run("kpis", "show", "deal_age", "--evidence", "--window", "T12M")
    assert (code, document["error"]["message"]) == (64, "deal_age has no such value")

"""Provisioning a portal from the command line: from no property at all until a rep reads right values on a deal, and the ways it can go wrong."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connector.cli.init import create
from connector.cli.main import main
from connector.model.scorecard_fields import ANCHORS, CALCULATED
from connector.sandbox.server import serving
from connector.sandbox.world import World
from connector.scorecard import fields
from connector.scorecard.fields import KEYS, MANIFEST
from tests.acceptance.companies import ADMIN, Portal, bare_portal


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Portal]:
    with bare_portal(tmp_path, capsys.readouterr) as company:
        yield company


def names(document: dict[str, Any], *actions: str) -> list[str]:
    return sorted(state["name"] for state in document["result"]["hs-demo"]["fields"] if state["action"] in actions)


def test_from_a_bare_portal_to_a_rep_who_reads_right_values(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.run("provision", "plan", "--detailed-exitcode")
    assert (code, len(names(document, "create")), bare.made()) == (2, 25, set())
    code, document = bare.provision(monkeypatch, "plan", "--detailed-exitcode")
    assert (code, document["result"]["hs-demo"]["checked"]["ok"], bare.made()) == (2, True, set())
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["summary"]["unproven"], len(bare.made())) == (0, 0, 25), document
    assert ADMIN not in json.dumps(document)
    for words in (("plan", "--detailed-exitcode"), ("status",)):
        code, document = bare.provision(monkeypatch, *words)
        assert (code, names(document, "create", "change", "grant", "conflict")) == (0, []), document
    assert not bare.run("check")[1]["summary"]["failed"]

    assert bare.ok("sync")["summary"]["written"] > 100
    assert bare.ok("sync")["summary"]["written"] == 0
    read = 0
    for id in list(bare.ok("preview", "--limit", "1000")["result"])[::10]:
        explained = bare.ok("explain", f"hs-demo:{id}")["result"]
        told = bare.read(id, *(field.hubspot for field in MANIFEST.values()), "kpi_secq_days", "sec_q_sent", "sec_q_done")
        assert set(explained) == set(KEYS) - set(ANCHORS) - set(CALCULATED["hubspot"])
        for key, one in explained.items():
            assert fields.text(MANIFEST[key], told[one["field"]]) == one["value"], (id, key)
        both = told["sec_q_sent"] and told["sec_q_done"]
        days = (date.fromisoformat(told["sec_q_done"]) - date.fromisoformat(told["sec_q_sent"])).days if both else None
        assert told["kpi_secq_days"] == (None if days is None else str(days))
        shown = bare.page(id)
        assert shown["kpi_pace"] in ("On pace", "Slow", "Stuck", "--")
        assert bare.made() <= set(shown)
        read += days is not None
    assert read >= 1


def test_whose_token_made_what_stands_in_the_audit(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    rows = {row["action"]: row for row in bare.run("audit", "tail")[1]["result"]}
    began, ended = rows["provision.began"], rows["provision.ended"]
    assert began["subject"] == ended["subject"] == "hs-demo"
    assert "create deals.kpi_stage" in began["detail"]["asked"]
    assert (began["detail"]["check_only"], ended["detail"]["ok"], ended["detail"]["made"] > 0) == (False, True, True)
    assert ADMIN not in str(rows)


def test_a_changed_stage_lists_exactly_the_property_that_holds_it(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    bare.change("stages.yaml", "VAC review", "Value analysis")
    code, document = bare.run("provision", "plan", "--detailed-exitcode")
    (state,) = [s for s in document["result"]["hs-demo"]["fields"] if s["action"] != "ok"]
    assert (code, state["name"], state["said"]) == (2, "kpi_stage", ["value vac called VAC review → Value analysis"])
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert bare.provision(monkeypatch, "plan", "--detailed-exitcode")[0] == 0


def test_the_connections_own_key_may_look_and_make_nothing(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.provision(monkeypatch, "apply", "--yes", token="sandbox-token")
    assert (code, document["error"]["code"], bare.made()) == (5, "SC-E052", set())
    assert "crm.schemas.deals.write" in document["error"]["message"]
    assert bare.provision(monkeypatch, "apply", "--yes", token="nobody")[1]["error"]["code"] == "SC-E051"


def test_a_portal_is_production_until_it_says_otherwise(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.provision(monkeypatch, "apply")
    assert (code, "--yes" in document["error"]["message"], bare.made()) == (64, True, set())


def test_a_name_that_is_taken_by_something_else_is_never_changed(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.world.portal.define_property("deals", "kpi_pace", "number")
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["error"]["code"], bare.made()) == (4, "SC-E151", {"kpi_pace"})
    assert document["findings"][0]["message"] == "deals.kpi_pace is a number, not a picklist"


def test_a_portal_that_is_made_in_part_says_so_and_goes_on(bare: Portal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody archives a name between the check and the making."""
    portal = bare.world.portal

    def archived_meanwhile() -> None:
        portal.define_property("deals", "kpi_pace", "string")
        portal.remove_property("deals", "kpi_pace")

    def arm() -> None:
        portal.before_write = [lambda _: None]  # the check writes nothing and yet asks as a write would
        portal.before_write.append(lambda p: p.before_write.append(lambda _: archived_meanwhile()))

    arm()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{ADMIN}\n"))
    assert main(["--project", str(bare.root), "provision", "apply", "--yes", "--token-stdin"]) == 4
    assert "25 of 26 are made: run it again" in capsys.readouterr().out
    for name in bare.made():
        portal.remove_property("deals", name)
    portal.archived_properties["deals"].clear()
    arm()
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["summary"]["changes"], document["summary"]["refused"]) == (4, 25, 1)
    portal.archived_properties["deals"].clear()  # purged
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert len(bare.made()) == 25


def test_status_says_which_option_a_push_would_miss(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    bare.change("stages.yaml", "VAC review", "Value analysis")
    assert bare.run("provision", "status")[0] == 0  # a label stops nothing
    pace = bare.world.portal.properties["deals"]["kpi_pace"]
    monkeypatch.setitem(bare.world.portal.properties["deals"], "kpi_pace", replace(pace, options=pace.options[:2]))
    code, document = bare.run("provision", "status")
    assert (code, [(f["code"], f["message"]) for f in document["findings"]]) == (4, [("SC-E123", "deals.kpi_pace: does not offer stuck")])


def test_the_quota_leaves_calculated_ones_out_and_says_so(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.world.portal.plan = "starter"
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert len(bare.made()) == 22
    status = bare.run("provision", "status")[1]["result"]["hs-demo"]
    assert status["left_out"]["secq_days"] == "the portal's plan has no calculated properties"
    assert bare.ok("sync")["summary"]["written"] > 100


def test_two_fields_and_nothing_else(bare: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.change("hubspot.yaml", "  population: {open: true", "  mode: two_fields\n  population: {open: true")
    text = (bare.root / "mappings" / "hubspot.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    stale_reason:.*\n", text, re.MULTILINE)
    bare.change("hubspot.yaml", line, "")
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert bare.made() == {"kpi_pace", "kpi_stale_reason"}
    assert bare.ok("sync")["summary"]["written"] > 50
    for name in ("kpi_pace", "kpi_stale_reason"):
        assert any(record.values.get(name) for record in bare.world.portal.records["deals"].values())


def test_a_portal_provisioned_by_hand_is_put_right_and_keeps_its_values(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    world = World()
    world.seed()
    world.portal.limits_on = False
    with serving(world) as base_url:
        create(tmp_path / "project", "sandbox", "medtech", port=int(base_url.rpartition(":")[2]), only="hubspot")
        company = Portal(tmp_path / "project", base_url, world, capsys.readouterr)
        company.ok("sync")
        held = {number: record.values.get("kpi_stage") for number, record in world.portal.records["deals"].items()}
        assert names(company.run("provision", "plan")[1], "conflict") == []
        assert company.provision(monkeypatch, "apply", "--yes")[0] == 0
        assert company.run("provision", "plan", "--detailed-exitcode")[0] == 0
        assert {number: record.values.get("kpi_stage") for number, record in world.portal.records["deals"].items()} == held
        assert company.ok("sync")["summary"]["written"] == 0


def test_an_exported_project_is_written_without_asking_the_portal(bare: Portal, tmp_path: Path) -> None:
    bare.world.portal.tokens.revoke("sandbox-token")
    out = tmp_path / "hs"
    bare.ok("provision", "export", "--target", "hubspot", "--out", str(out))
    assert json.loads((out / "hsproject.json").read_text()) == {"name": "kpi-scorecard", "srcDir": "src", "platformVersion": "2026.03"}
    app = json.loads((out / "src/app/app-hsmeta.json").read_text())["config"]
    assert (app["distribution"], app["auth"]["type"], app["auth"]["requiredScopes"]) == ("private", "static", ["crm.objects.deals.read"])
    card = json.loads((out / "src/app/cards/scorecard-hsmeta.json").read_text())["config"]
    assert (out / "src" / card["entrypoint"].lstrip("/")).is_file()
    text = (out / "src/app/cards/Card.tsx").read_text()
    assert not [word for word in ("CrmPropertyList", "hubspot.fetch", "@FIELDS@") if word in text]
    listed = re.search(r"const FIELDS: Field\[\] = (\[.*?\n\]);", text, re.DOTALL)
    assert listed is not None
    assert {field["name"] for field in json.loads(listed[1])} >= {"kpi_pace", "kpi_secq_days"}
    settings = bare.root / "connector.toml"
    settings.write_text(settings.read_text().replace('crm = "hubspot"\n', 'crm = "hubspot"\nplatform_version = "2026.09"\n'))
    bare.ok("provision", "export", "--target", "hubspot", "--out", str(tmp_path / "newer"))
    assert json.loads((tmp_path / "newer" / "hsproject.json").read_text())["platformVersion"] == "2026.09"
    assert "2026.09" in (tmp_path / "newer" / "DEPLOY.md").read_text()

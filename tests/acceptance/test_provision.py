"""Provisioning from the command line: an org without a scorecard field, until a rep reads right values on a deal, and the ways it can go wrong."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.cli.main import main
from connector.model import scorecard_fields
from connector.model.scorecard_fields import ANCHORS, CALCULATED
from connector.sandbox.salesforce.schema import FieldDef
from connector.scorecard import fields
from connector.scorecard.fields import KEYS, MANIFEST
from tests.acceptance.companies import DATA, Org, bare_org


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Org]:
    with bare_org(tmp_path, capsys.readouterr) as company:
        yield company


def names(document: dict[str, Any], *actions: str) -> list[str]:
    """Fields of a plan by what it would do with them."""
    return sorted(state["name"] for state in document["result"]["sf-demo"]["fields"] if state["action"] in actions)


def test_from_a_bare_org_to_a_rep_who_reads_right_values(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.run("provision", "plan", "--detailed-exitcode")
    assert code == 2
    assert len(names(document, "create")) == 31
    code, document = bare.provision(monkeypatch, "plan", "--detailed-exitcode")
    assert (code, document["result"]["sf-demo"]["checked"]["ok"]) == (2, True), document
    assert bare.fields(bare.world.org.admin) == {}

    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert code == 0, document
    assert document["result"]["admitted"] is True
    assert document["result"]["token_of"]["user_id"] == bare.world.org.admin

    for words in (("plan", "--detailed-exitcode"), ("status",)):
        code, document = bare.provision(monkeypatch, *words)
        assert (code, names(document, "create", "change", "grant", "conflict")) == (0, []), document
        assert {piece["action"] for piece in document["result"]["sf-demo"]["pieces"]} == {"ok"}
    assert bare.run("provision", "plan", "--detailed-exitcode")[0] == 0
    assert not bare.run("check")[1]["summary"]["failed"]

    assert bare.ok("sync")["summary"]["written"] > 100
    rep, read = bare.rep_who_reads(), 0
    assert set(bare.fields(rep)) == set(bare.fields(bare.world.org.api_user))
    assert not any(field["updateable"] for field in bare.fields(rep).values())
    for id in list(bare.ok("preview", "--limit", "1000")["result"])[::10]:
        explained = bare.ok("explain", f"sf-demo:{id}")["result"]
        record = requests.get(f"{bare.base_url}/{DATA}/sobjects/Opportunity/{id}", headers=bare.as_user(rep), timeout=30).json()
        assert set(explained) == set(KEYS) - set(ANCHORS) - set(CALCULATED["salesforce"])
        for key, told in explained.items():
            assert fields.text(MANIFEST[key], record[told["field"]]) == told["value"], (id, key)
        entered, today = record["KPI_Stage_Entered_On__c"], date.fromisoformat(bare.world.org.moment(rep).today)
        assert record["KPI_Days_In_Stage__c"] == (None if entered is None else (today - date.fromisoformat(entered)).days)
        read += 1
    assert read > 5


def test_the_token_is_kept_nowhere(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert code == 0
    assert bare.admin not in str(document)
    held = [path for path in bare.root.rglob("*") if path.is_file() and bare.admin.encode() in path.read_bytes()]
    assert held == []


def test_a_changed_threshold_lists_exactly_the_formulas_that_contain_it(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    bare.change("kpis.yaml", "pilot: 90", "pilot: 75")
    code, document = bare.run("provision", "plan", "--detailed-exitcode")
    assert (code, names(document, "change")) == (2, ["KPI_Stalled__c"])
    assert names(document, "create", "grant", "conflict") == []
    bare.change("kpis.yaml", "capital_normalisation_years: 5", "capital_normalisation_years: 7")
    assert names(bare.run("provision", "plan")[1], "change") == ["KPI_Blended_ARR__c", "KPI_Stalled__c"]
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert bare.provision(monkeypatch, "plan", "--detailed-exitcode")[0] == 0


def test_a_deployment_that_the_org_refuses_leaves_nothing(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date that the mapping takes for money: only the org's compiler can know."""
    bare.change("salesforce.yaml", "{from: Capital_Portion__c, type: money}", "{from: Evaluation_Start__c, type: money}")
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert code == 4
    assert any("Opportunity.KPI_Blended_ARR__c" in f["message"] for f in document["findings"]), document["findings"]
    assert bare.fields(bare.world.org.admin) == {}
    assert bare.query("SELECT Id FROM PermissionSet WHERE Name LIKE 'KPI%'") == []


def test_a_deployment_that_is_rolled_back_counts_as_nothing_made(
    bare: Org, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody uses up the room for fields between the check and the deployment: some components pass, and none stays."""
    org = bare.world.org
    room = sum(field.custom for field in org.schema["Opportunity"].fields.values()) + 10

    class Deployments(dict[str, Any]):
        def __setitem__(self, id: str, found: Any) -> None:
            super().__setitem__(id, found)
            if not found.options["checkOnly"]:
                org.most_fields = room

    monkeypatch.setattr(org, "deployments", Deployments())
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["result"]["checked"]["ok"], document["result"]["deployed"]["done"]) == (4, True, 0), document
    assert document["summary"]["changes"] == 0
    (_, deployed) = org.deployments.values()
    assert len(deployed.successes) > 10  # the org counts those that passed before it took them back
    assert bare.fields(org.admin) == {}
    ended = next(row for row in bare.run("audit", "tail")[1]["result"] if row["action"] == "provision.ended")
    assert (ended["detail"]["ok"], ended["detail"]["made"]) == (False, 0)
    org.most_fields = 500
    monkeypatch.setattr(org, "deployments", Deployments())
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{bare.admin}\n"))
    assert main(["--project", str(bare.root), "provision", "apply", "--yes", "--token-stdin"]) == 4
    said = capsys.readouterr().out
    assert "refused the deployment (Failed); nothing was changed" in said
    assert "run it again" not in said


def test_a_forgotten_permission_set_is_named(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the set away from the connection's user: every field is there and none is seen."""
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    given = bare.query("SELECT Id FROM PermissionSetAssignment WHERE PermissionSet.Name = 'KPI_Scorecard_Integration'")
    url = f"{bare.base_url}/{DATA}/sobjects/PermissionSetAssignment/{given[0]['Id']}"
    assert requests.delete(url, headers=bare.as_user(bare.world.org.admin), timeout=30).status_code == 204
    code, document = bare.provision(monkeypatch, "status")
    assert code == 4
    assert len(names(document, "grant")) == 31
    assert {f["code"] for f in document["findings"]} == {"SC-E153"}
    assert all("KPI_Scorecard_Integration" in f["next"] for f in document["findings"])
    assert [p["action"] for p in document["result"]["sf-demo"]["pieces"] if p["kind"] == "assignment"] == ["create"]
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["result"]["admitted"]) == (0, True)


def test_status_says_what_a_push_would_meet_whatever_else_differs(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is relabelled as well as locked is locked all the same; a text that was cut short and options that were taken away are refused."""
    org = bare.world.org
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    pace = org.schema["Opportunity"].fields["KPI_Pace__c"]
    org.retype_field("Opportunity", "KPI_Open_Gates__c", "string", label="Gates of ours")
    assert bare.run("provision", "status")[0] == 0  # a label stops nothing
    org.close_field("Opportunity", "KPI_Open_Gates__c", org.api_user)
    org.retype_field("Opportunity", "KPI_Personas__c", "string", length=40)
    org.retype_field("Opportunity", "KPI_Pace__c", "picklist", options=pace.options[:2], restricted=True)
    code, document = bare.run("provision", "status")
    assert (code, names(document, "change")) == (4, ["KPI_Open_Gates__c", "KPI_Pace__c", "KPI_Personas__c"])
    assert {(f["code"], f["message"]) for f in document["findings"]} == {
        ("SC-E153", "Opportunity.KPI_Open_Gates__c: the connection's user may not edit it"),
        ("SC-E130", "Opportunity.KPI_Personas__c: holds 40 of 255 characters"),
        ("SC-E123", "Opportunity.KPI_Pace__c: does not offer Stuck"),
    }
    steps = {f["code"]: f["next"] for f in document["findings"]}
    assert "permission set" in steps["SC-E153"]
    assert all("provision apply --connection sf-demo" in steps[code] for code in ("SC-E130", "SC-E123"))
    assert bare.provision(monkeypatch, "apply", "--yes")[1]["summary"]["unproven"] == 1
    assert {f["code"] for f in bare.run("provision", "status")[1]["findings"]} == {"SC-E153"}


def test_a_number_that_does_not_fit_is_not_sent_and_a_wider_field_stays_wide(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    org, field = bare.world.org, "KPI_Stage_Benchmark_Days__c"
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    org.retype_field("Opportunity", field, "double", precision=1)
    org.retype_field("Opportunity", "KPI_Win_Chance_N__c", "double", precision=9)
    org.retype_field("Opportunity", "KPI_Definition__c", "string", length=120)
    code, document = bare.run("provision", "status")
    assert (code, [f["message"] for f in document["findings"]]) == (4, [f"Opportunity.{field}: holds 1 of 4 digits before the point"])
    code, document = bare.run("sync")
    assert code == 4
    refused = [letter for letter in bare.ok("dead-letters", "list")["result"] if letter["code"] == "SC-E130"]
    assert len(refused) > 5
    assert all(letter["message"].startswith(f"not sent: {field} holds numbers below 10, the value is") for letter in refused), refused
    assert [letter for letter in bare.ok("dead-letters", "list")["result"] if letter["code"] == "SC-E129"] == []

    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    held = org.schema["Opportunity"].fields
    assert (held[field].precision, held["KPI_Win_Chance_N__c"].precision, held["KPI_Definition__c"].length) == (4, 9, 120)
    assert bare.provision(monkeypatch, "plan", "--detailed-exitcode")[0] == 0
    assert bare.ok("sync")["summary"]["written"] >= len(refused)


def test_a_field_that_the_connections_user_cannot_use_is_named_after_the_deployment(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.world.org.hide_field("Opportunity", "KPI_Pace__c", bare.world.org.api_user)
    bare.world.org.close_field("Opportunity", "KPI_Stage__c", bare.world.org.api_user)
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["summary"]["unproven"]) == (4, 2)
    said = {f["message"].partition("user ")[2] or f["message"]: f["code"] for f in document["findings"]}
    assert set(said.values()) == {"SC-E153"}
    assert [word for word in ("KPI_Pace__c", "KPI_Stage__c") if not any(word in text for text in said)] == []


def pieces(document: dict[str, Any]) -> dict[str, str]:
    """Name → action of what belongs to the provisioning beside fields and is not as it should be."""
    return {piece["name"]: piece["action"] for piece in document["result"]["sf-demo"]["pieces"] if piece["action"] != "ok"}


def test_what_comes_with_the_fields_is_compared_one_by_one(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    org = bare.world.org
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert pieces(bare.provision(monkeypatch, "plan")[1]) == {}
    org.drop_record(("ListView", "Opportunity.KPI_Stuck_Deals"))
    org.drop_record(("Report", "KPI_Scorecard/KPI_Pace"))
    org.drop_record(("CompactLayout", "Opportunity.KPI_Scorecard"))
    script = next(row for row in org.tables["LightningComponentResource"].rows.values() if row["FilePath"].endswith(".js"))
    org.update("LightningComponentResource", script["Id"], {"Source": script["Source"].replace("Stuck", "Slow")})
    given = next(row for row in org.tables["ObjectPermissions"].rows.values() if row["SobjectType"] == "Opportunity" and row["PermissionsEdit"])
    org.update("ObjectPermissions", given["Id"], {"PermissionsDelete": True})
    code, document = bare.provision(monkeypatch, "plan", "--detailed-exitcode")
    assert (code, names(document, "create", "change", "grant", "conflict")) == (2, [])
    assert pieces(document) == {
        "Opportunity.KPI_Stuck_Deals": "create", "KPI_Scorecard/KPI_Pace": "create", "Opportunity.KPI_Scorecard": "create",
        "kpiScorecard": "change", "KPI_Scorecard_Integration": "change",
    }  # fmt: skip
    said = {piece["name"]: piece["said"] for piece in document["result"]["sf-demo"]["pieces"]}
    assert said["kpiScorecard"] == "lwc/kpiScorecard/kpiScorecard.js was edited in the org"
    assert said["Opportunity.KPI_Stuck_Deals"] == "deleted since it was deployed"
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert pieces(bare.provision(monkeypatch, "plan")[1]) == {}
    bare.change("salesforce.yaml", "data_gaps:            KPI_Data_Gaps__c", "data_gaps:            null")
    assert pieces(bare.provision(monkeypatch, "plan")[1]) == {
        "KPI_Scorecard_Integration": "change", "KPI_Scorecard_Reader": "change", "KPI_Opportunities": "change", "kpiScorecard": "change",
    }  # fmt: skip


def test_status_says_what_no_page_shows_which_pages_it_cannot_read_and_what_quota_is_left(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    org = bare.world.org
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    used = sum(field.custom for field in org.schema["Opportunity"].fields.values())

    def told(token: bool = True) -> dict[str, Any]:
        document = bare.provision(monkeypatch, "status")[1] if token else bare.run("provision", "status")[1]
        return dict(document["result"]["sf-demo"])

    found = told()
    assert {state["placed"] for state in found["fields"]} == {False}
    assert (found["quota"], found["unread_pages"]) == ({"Opportunity": 500 - used}, [])
    org.place(["KPI_Pace__c", "KPI_Stale_Reason__c"])
    org.add_page("Deal page of the east", "Opportunity")
    org.add_page("Home of the east", "Opportunity", kind="HomePage")
    org.add_page("Account page", "Account")
    found = told()
    assert {state["name"] for state in found["fields"] if state["placed"]} == {"KPI_Pace__c", "KPI_Stale_Reason__c"}
    assert found["unread_pages"] == ["Deal page of the east"]
    found = told(token=False)  # the set-up is the administrator's to read
    assert (found["quota"], found["unread_pages"]) == ({"Opportunity": None}, [])


def test_an_org_without_room_for_the_fields_refuses_them_in_words_of_ours(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    org = bare.world.org
    org.most_fields = sum(field.custom for field in org.schema["Opportunity"].fields.values()) + 10
    code, document = bare.provision(monkeypatch, "plan")
    assert (code, document["result"]["sf-demo"]["quota"]) == (4, {"Opportunity": 10})
    assert any("as many custom fields as the org allows" in finding["message"] for finding in document["findings"])
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 4
    assert bare.fields(org.admin) == {}


def test_the_connections_own_user_may_look_and_not_deploy(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    code, document = bare.provision(monkeypatch, "apply", "--yes", token=f"sandbox-as-{bare.world.org.api_user}")
    assert code == 5
    assert "Customize Application" in document["error"]["next"]
    code, document = bare.provision(monkeypatch, "apply", "--yes", token="another-orgs-token")
    assert (code, document["error"]["code"]) == (5, "SC-E051")


def test_production_is_asked_about_again(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = bare.root / "connector.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace('environment = "sandbox"', 'environment = "production"'), encoding="utf-8")
    code, document = bare.provision(monkeypatch, "apply")
    assert code == 64
    assert "--yes" in document["error"]["message"]
    assert bare.fields(bare.world.org.admin) == {}
    assert bare.provision(monkeypatch, "apply", "--check-only")[0] == 0
    assert bare.fields(bare.world.org.admin) == {}


def test_a_name_that_is_taken_by_something_else_is_never_changed(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.world.org.add_field("Opportunity", FieldDef("KPI_Pace__c", "double", "Pace of theirs", precision=4))
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert (code, document["error"]["code"]) == (4, "SC-E151")
    assert "is a number, not a picklist" in document["findings"][0]["message"]
    bare.change("salesforce.yaml", "pace:                 KPI_Pace__c", "pace:                 KPI_Tempo__c")
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    document = bare.provision(monkeypatch, "status")[1]
    assert [f["message"] for f in document["findings"]] == ["Opportunity.KPI_Pace__c is used by no mapping"]


def test_two_fields_and_nothing_else(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is not named in the mapping: it is made and written under its usual name."""
    bare.change("salesforce.yaml", "  population: {open: true", "  mode: two_fields\n  population: {open: true")
    bare.change("salesforce.yaml", "    stale_reason:         KPI_Stale_Reason__c\n", "")
    assert bare.provision(monkeypatch, "apply", "--yes")[0] == 0
    assert set(bare.fields(bare.world.org.api_user)) == {"KPI_Pace__c", "KPI_Stale_Reason__c"}
    assert bare.ok("sync")["summary"]["written"] > 50
    for name in ("KPI_Pace__c", "KPI_Stale_Reason__c"):
        assert bare.query(f"SELECT Id FROM Opportunity WHERE {name} != null", bare.world.org.api_user) != []
    code, document = bare.run("mapping", "check", "--live")
    assert (code, {f["severity"] for f in document["findings"]} - {"warning", "info"}) == (0, set()), document
    assert bare.ok("sync")["summary"]["written"] == 0
    bare.world.org.close_field("Opportunity", "KPI_Stale_Reason__c", bare.world.org.api_user)
    found = [f for f in bare.run("mapping", "check", "--live")[1]["findings"] if f["severity"] == "error"]
    assert [(f["code"], f["path"]) for f in found] == [("SC-E153", "scorecard.opportunity")]


def test_every_grain_on_one_org(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"    {row.key}: {row.salesforce}" for row in scorecard_fields.ACCOUNT]
    contact = [f"    {row.key}: {row.salesforce}" for row in scorecard_fields.CONTACT]
    objects = ["  rep: {object: KPI_Rep_Scorecard__c}", "  snapshot: {object: KPI_Snapshot__c}"]
    section = "\n".join(["  account:", *lines, "  contact:", *contact, *objects, "  opportunity:"])
    bare.change("salesforce.yaml", "  opportunity:\n", section + "\n")
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert code == 0, document
    assert bare.provision(monkeypatch, "plan", "--detailed-exitcode")[0] == 0
    code, document = bare.provision(monkeypatch, "status")
    assert code == 0
    assert {state["object"] for state in document["result"]["sf-demo"]["fields"]} == {
        "Opportunity", "Account", "Contact", "KPI_Rep_Scorecard__c", "KPI_Snapshot__c",
    }  # fmt: skip
    key = {"KPI_Key__c": "u|2026Q4", "KPI_User__c": bare.world.org.admin, "KPI_Quota__c": 1_000_000, "KPI_Attainment__c": 104}
    url, own = f"{bare.base_url}/{DATA}/sobjects/KPI_Rep_Scorecard__c", bare.as_user(bare.world.org.api_user)
    assert requests.post(url, json=key, headers=own, timeout=30).status_code == 201
    assert requests.post(url, json=key, headers=own, timeout=30).status_code == 400  # the key is taken


def test_a_companion_beside_the_deal_leaves_the_deal_without_a_field(bare: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.change("salesforce.yaml", "  population: {open: true", "  mode: companion\n  population: {open: true")
    code, document = bare.provision(monkeypatch, "apply", "--yes")
    assert code == 0, document
    assert bare.fields(bare.world.org.admin) == bare.fields(bare.world.org.api_user) == {}
    assert bare.provision(monkeypatch, "plan", "--detailed-exitcode")[0] == 0
    deal = bare.query("SELECT Id, CreatedDate FROM Opportunity WHERE IsClosed = false LIMIT 1")[0]
    url, own = f"{bare.base_url}/{DATA}/sobjects/KPI_Scorecard__c", bare.as_user(bare.world.org.api_user)
    entered = date.fromisoformat(bare.world.org.moment().today) - timedelta(days=12)
    values = {"KPI_Key__c": deal["Id"], "KPI_Opportunity__c": deal["Id"], "KPI_Stage_Entered_On__c": entered.isoformat(), "KPI_Stage__c": "Demo"}
    made = requests.post(url, json=values, headers=own, timeout=30)
    assert made.status_code == 201, made.text
    read = requests.get(f"{url}/{made.json()['id']}", headers=own, timeout=30).json()
    assert (read["KPI_Days_In_Stage__c"], read["KPI_Stalled__c"]) == (12, False)
    assert read["KPI_Deal_Age__c"] > 0


def test_an_exported_project_is_written_without_asking_the_org(bare: Org, tmp_path: Path) -> None:
    bare.world.org.sessions.expire()
    document = bare.ok("provision", "export", "--target", "salesforce", "--out", str(tmp_path / "sfdx"))
    assert (tmp_path / "sfdx/force-app/main/default/objects/Opportunity/fields/KPI_Pace__c.field-meta.xml").is_file()
    assert document["summary"]["files"] == len(document["result"]["files"])
    code, document = bare.run("provision", "export", "--target", "salesforce", "--out", str(tmp_path / "sfdx"))
    assert (code, document["error"]["message"].endswith("is not empty")) == (64, True)

"""Beside the deal: accounts, key opinion leaders, reps, snapshots and the companion, from a bare CRM until a rep reads right values, and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector import approvals, sync, upkeep
from connector.app import App
from connector.kpis.book.book import Book
from connector.kpis.cards.account import account_cards
from connector.kpis.cards.contact import contact_cards
from connector.kpis.cards.deal import scorecards
from connector.kpis.cards.rep import rep_cards
from connector.model import scorecard_fields
from connector.sandbox.hubspot.oauth import SYNC_SCOPES
from connector.scorecard import fields
from connector.scorecard.manifests import MANIFESTS
from tests.acceptance.companies import DATA, INTEGRATION, Org, Portal, bare_org, bare_portal

ACCOUNT = "{" + ", ".join(f"{row.key}: {row.salesforce}" for row in scorecard_fields.ACCOUNT) + "}"
CONTACT = "{" + ", ".join(f"{row.key}: {row.salesforce}" for row in scorecard_fields.CONTACT) + "}"
SWITCHED_ON = f"""  account: {ACCOUNT}
  contact: {CONTACT}
  rep: {{object: KPI_Rep_Scorecard__c}}
  snapshot: {{object: KPI_Snapshot__c}}

deny:"""
COMPANION = "KPI_Scorecard__c"
SHOWN = "Id, KPI_Key__c, KPI_Opportunity__c, KPI_Stage_Entered_On__c, KPI_Days_In_Stage__c, KPI_Pace__c"


@pytest.fixture
def org(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Org]:
    """Every grain, provisioned, the deal's on its companion."""
    with bare_org(tmp_path, capsys.readouterr) as company:
        company.change("salesforce.yaml", "\ndeny:", SWITCHED_ON)
        _leaders(company, list(company.world.org.tables["Contact"].rows)[:3])
        company.change("salesforce.yaml", "  # mode: two_fields", "  mode: companion  #")
        code, document = company.provision(monkeypatch, "apply", "--yes")
        assert code == 0, document
        company.give(company.world.org.admin, INTEGRATION)  # so that somebody beside the connector may edit
        yield company


def _leaders(company: Org | Portal, contacts: list[str]) -> None:
    """The company's list of key opinion leaders."""
    company.change("kpis.yaml", "inputs:\n", "inputs:\n  kol: inputs/kol.csv\n")
    lines = ["contact_key,advisory_board", *(f"{id},true" for id in contacts)]
    (company.root / "mappings" / "inputs" / "kol.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def book_of(company: Org | Portal, name: str) -> Book:
    """The book behind what was just written."""
    with App(company.root) as app:
        return sync.book(app.mapped(name), app.store, app.definitions, company.world.clock.now)


def pushed(company: Org | Portal) -> str:
    """The run of the last push."""
    with App(company.root) as app:
        [name] = app.names()
        last = app.store.runs.last(name, kinds=("push",))
        assert last is not None
        return str(last.id)


def test_every_grain_reaches_the_crm_and_the_deal_is_never_written(org: Org) -> None:
    before = {id: row["SystemModstamp"] for id, row in org.world.org.tables["Opportunity"].rows.items()}
    planned = org.ok("plan")["summary"]
    first = org.ok("sync")["summary"]
    assert (first["written"], first["not_written"]) == (planned["records"], 0)
    assert planned["creates"] > 100
    assert {id: row["SystemModstamp"] for id, row in org.world.org.tables["Opportunity"].rows.items()} == before
    assert org.ok("sync")["summary"]["written"] == 0

    book, rep = book_of(org, "sf-demo"), org.rep_who_reads()
    cards = scorecards(book)
    shown = {row["KPI_Key__c"]: row for row in org.query(f"SELECT {SHOWN} FROM {COMPANION}", rep)}
    mapped = {id for id, card in cards.items() if card.stage is not None}
    assert shown.keys() == mapped
    for id, row in shown.items():
        assert row["KPI_Opportunity__c"] == id
        assert row["KPI_Stage_Entered_On__c"] == str(cards[id].stage_entered_on)
        assert row["KPI_Days_In_Stage__c"] == cards[id].days_in_stage
    _agree(org, rep, "Account", scorecard_fields.ACCOUNT, {id: card.values for id, card in account_cards(book).items()}, "account")
    _agree(org, rep, "Contact", scorecard_fields.CONTACT, {id: card.values for id, card in contact_cards(book).items()}, "contact")
    reps = {f"{owner}|{period}": card.values for (owner, period), card in rep_cards(book).items()}
    told = {
        row["KPI_Key__c"]: row
        for row in org.query(f"SELECT {', '.join(row.salesforce for row in scorecard_fields.REP)}, CurrencyIsoCode FROM KPI_Rep_Scorecard__c", rep)
    }
    assert reps
    assert told.keys() == reps.keys()
    for key, row in told.items():
        assert (row["KPI_User__c"], row["KPI_Period__c"], row["CurrencyIsoCode"]) == (*key.split("|"), "USD")
        _same(row, scorecard_fields.REP, reps[key], "rep")
    snapshots = org.query("SELECT KPI_Key__c, KPI_As_Of__c, KPI_Value__c, KPI_Reason__c FROM KPI_Snapshot__c", rep)
    assert len(snapshots) > 10
    assert {row["KPI_As_Of__c"] for row in snapshots} == {str(book.today)}
    assert all(row["KPI_Value__c"] is not None or row["KPI_Reason__c"] for row in snapshots)


def test_the_row_beside_a_deal_that_closed_says_that_nothing_is_open(org: Org) -> None:
    """With ``closed_days: 0``, where a deal's own record is left alone: the row is ours and would say Stuck for good."""
    open_ = "KPI_Pace__c, KPI_Stale_Reason__c, KPI_Open_Gates__c, KPI_Win_Chance__c, KPI_Data_Gaps__c"
    org.ok("sync")
    stuck = org.query(f"SELECT KPI_Key__c FROM {COMPANION} WHERE KPI_Pace__c = 'Stuck'")
    won, lost = (row["KPI_Key__c"] for row in stuck[:2])
    rows = len(org.query(f"SELECT Id FROM {COMPANION}"))
    for id, stage in ((won, "Closed Won"), (lost, "Closed Lost")):
        url = f"{org.base_url}/{DATA}/sobjects/Opportunity/{id}"
        answer = requests.patch(url, json={"StageName": stage}, headers=org.as_user(org.world.org.admin), timeout=30)
        assert answer.status_code == 204, answer.text
    before = {id: org.world.org.tables["Opportunity"].rows[id]["SystemModstamp"] for id in (won, lost)}
    assert org.ok("sync")["summary"]["written"] >= 2
    held = {row["KPI_Key__c"]: row for row in org.query(f"SELECT KPI_Key__c, KPI_Stage__c, {open_} FROM {COMPANION}")}
    assert len(held) == rows  # deals that were closed before they had a row get none
    assert (held[won]["KPI_Stage__c"], held[lost]["KPI_Stage__c"]) == ("Closed won", "Closed lost")
    assert {held[id][field] for id in (won, lost) for field in open_.split(", ")} == {None}
    assert {id: org.world.org.tables["Opportunity"].rows[id]["SystemModstamp"] for id in (won, lost)} == before
    assert org.ok("sync")["summary"]["written"] == 0


def _agree(org: Org, user: str, object: str, known: Any, cards: dict[str, Any], grain: Any) -> None:
    assert cards
    columns = ", ".join(row.salesforce for row in known)
    held = {row["Id"]: row for row in org.query(f"SELECT Id, CurrencyIsoCode, {columns} FROM {object}", user)}
    foreign = 0
    for id, values in cards.items():
        money = {key for key in values if MANIFESTS[grain][key].kind == "money" and held[id]["CurrencyIsoCode"] != "USD"}
        foreign += bool(money)
        _same(held[id], known, {key: value for key, value in values.items() if key not in money}, grain)
        assert all(held[id][row.salesforce] is None for row in known if row.key in money)
    assert (foreign > 0) == (grain == "account")


def _same(held: dict[str, Any], known: Any, values: Any, grain: Any) -> None:
    for row in known:
        if row.key in values:
            field = MANIFESTS[grain][row.key]
            assert fields.text(field, held[row.salesforce]) == fields.text(field, fields.wire(field, values[row.key], "salesforce")), row.key


def test_an_account_is_told_with_those_below_it(org: Org) -> None:
    rows_ = org.world.org.tables["Opportunity"].rows.values()
    whole = {row["AccountId"] for row in rows_ if not row.get("IsClosed") and row.get("CurrencyIsoCode") == "USD" and row.get("Amount")}
    above, below = sorted(id for id in whole if org.world.org.tables["Account"].rows[id]["CurrencyIsoCode"] == "USD")[:2]
    org.ok("sync")

    def pipeline() -> dict[str, float]:
        return {row["Id"]: row["KPI_Open_Pipeline__c"] for row in org.query("SELECT Id, KPI_Open_Pipeline__c FROM Account")}

    apart = pipeline()
    url = f"{org.base_url}/{DATA}/sobjects/Account/{below}"
    assert requests.patch(url, json={"ParentId": above}, headers=org.as_user(org.world.org.admin), timeout=30).status_code == 204
    org.world.clock.advance_to(org.world.clock.now + timedelta(hours=1))
    org.ok("sync")
    assert pipeline() == {**apart, above: apart[above] + apart[below]}


def test_who_leaves_the_list_of_leaders_holds_our_values_no_longer(org: Org) -> None:
    org.ok("sync")
    asked = "SELECT Id FROM Contact WHERE KPI_KOL_Score__c != null"
    held = [row["Id"] for row in org.query(asked)]
    assert len(held) == 3
    (org.root / "mappings" / "inputs" / "kol.csv").write_text(f"contact_key,advisory_board\n{held[0]},true\n", encoding="utf-8")
    org.ok("sync")
    assert [row["Id"] for row in org.query(asked)] == held[:1]
    assert org.ok("sync")["summary"]["written"] == 0


def test_a_list_of_leaders_that_says_nothing_takes_nobody_off_and_the_push_says_so(org: Org) -> None:
    org.change("salesforce.yaml", f"  account: {ACCOUNT}\n", "")  # it shows how many leaders are active, which would be lost
    org.ok("sync")
    asked, kol = "SELECT Id FROM Contact WHERE KPI_KOL_Score__c != null ORDER BY Id", org.root / "mappings" / "inputs" / "kol.csv"
    a, b, c = (row["Id"] for row in org.query(asked))
    there = kol.read_text(encoding="utf-8")

    def said(code: str) -> str:
        document = org.ok("sync")
        [finding] = [finding for finding in document["findings"] if finding["code"] == code]
        assert [row["Id"] for row in org.query(asked)] == [a, b, c]
        message: str = finding["message"]
        return message

    kol.unlink()
    assert "kol.csv cannot be read" in (told := said("SC-E090"))
    assert "KPI_KOL_Score__c" in told
    assert "keeps what was written" in told
    kol.write_text(there.replace("contact_key", "person"), encoding="utf-8")
    assert "the required column contact_key is absent" in said("SC-E090")
    kol.write_text(f"contact_key,advisory_board\n{a},true\n{b},perhaps\n,true\n", encoding="utf-8")
    assert "2 rows are left out, the first on line 3" in said("SC-E091"), "one of them may be of anybody"
    kol.write_text(f"contact_key,advisory_board\n{a},true\n{b},true\n{b},true\n{c},true\n", encoding="utf-8")
    assert "left out" in said("SC-E093")
    org.change("kpis.yaml", "  kol: inputs/kol.csv\n", "")
    assert "3 contacts keep" in said("SC-W096")
    org.change("kpis.yaml", "inputs:\n", "inputs:\n  kol: inputs/kol.csv\n")
    kol.write_text(f"contact_key,advisory_board\n{a},true\n{b},perhaps\n", encoding="utf-8")
    org.ok("sync")
    assert [row["Id"] for row in org.query(asked)] == [a, b], "whose row is refused may be on it, who has none is not"
    kol.write_text("contact_key,advisory_board\n", encoding="utf-8")
    code, document = org.run("sync")
    [push] = document["result"]["pushes"]
    assert (code, [trip["code"] for trip in push["trips"]]) == (4, ["SC-E103"]), "an export that lost its rows looks like this"
    assert [row["Id"] for row in org.query(asked)] == [a, b]
    org.ok("plans", "approve", document["result"]["plan"]["id"])
    org.ok("apply", document["result"]["plan"]["id"], "--yes")
    assert org.query(asked) == []


@pytest.mark.parametrize(
    ("name", "row", "asked"),
    [
        ("arr_ledger", "account_key,date,type,delta\n{account},2026-01-05,new,120000\n", "SELECT Id FROM Account WHERE KPI_ARR__c > 0"),
        ("renewals", "account_key,due_on,available\n{account},2027-06-30,120000\n", "SELECT Id FROM Account WHERE KPI_Renewal_On__c != null"),
        ("quotas", "owner_key,period,amount\n{owner},{quarter},900000\n", "SELECT Id FROM KPI_Rep_Scorecard__c WHERE KPI_Quota__c > 0"),
    ],
)
def test_what_rests_on_a_file_that_cannot_be_read_is_lost_and_stops_at_the_guard(org: Org, name: str, row: str, asked: str) -> None:
    org.ok("sync")
    account = next(row["Id"] for row in org.query("SELECT Id, CurrencyIsoCode FROM Account") if row["CurrencyIsoCode"] == "USD")
    rep = org.query("SELECT KPI_User__c, KPI_Period__c FROM KPI_Rep_Scorecard__c ORDER BY KPI_Key__c LIMIT 1")[0]
    file = org.root / "mappings" / "inputs" / f"{name}.csv"
    file.write_text(row.format(account=account, owner=rep["KPI_User__c"], quarter=rep["KPI_Period__c"]), encoding="utf-8")
    org.change("kpis.yaml", "inputs:\n", f"inputs:\n  {name}: inputs/{name}.csv\n")
    org.ok("sync")
    held = org.query(asked)
    assert held
    there = file.read_text(encoding="utf-8")
    for broken, code in ((None, "SC-E090"), (there.replace("2027-06-30", "soon").replace("2026-01-05", "once").replace("900000", "much"), "SC-E091")):
        file.unlink() if broken is None else file.write_text(broken, encoding="utf-8")
        exit_code, document = org.run("sync")
        [push] = document["result"]["pushes"]
        assert (exit_code, [trip["code"] for trip in push["trips"]]) == (4, ["SC-E103"]), document
        assert code in {finding["code"] for finding in document["findings"]}
        assert org.query(asked) == held
    file.write_text(there, encoding="utf-8")
    org.ok("sync")
    assert org.query(asked) == held


def test_an_edit_heals_a_deleted_row_comes_back_and_a_deleted_deal_takes_its_row_along(org: Org) -> None:
    org.ok("sync")
    world, admin = org.world, org.world.org.admin
    a, b, c = org.query(f"SELECT Id, KPI_Key__c FROM {COMPANION} ORDER BY KPI_Key__c LIMIT 3")
    url, headers = f"{org.base_url}/{DATA}/sobjects", org.as_user(admin)
    assert requests.patch(f"{url}/{COMPANION}/{a['Id']}", json={"KPI_Stale_Reason__c": "mine"}, headers=headers, timeout=30).status_code == 204
    account = next(row["Id"] for row in org.query("SELECT Id, KPI_Open_Pipeline__c FROM Account WHERE KPI_Open_Pipeline__c > 0"))
    assert requests.patch(f"{url}/Account/{account}", json={"KPI_Open_Pipeline__c": 1}, headers=headers, timeout=30).status_code == 204
    assert requests.delete(f"{url}/{COMPANION}/{b['Id']}", headers=headers, timeout=30).status_code == 204
    assert requests.delete(f"{url}/Opportunity/{c['KPI_Key__c']}", headers=headers, timeout=30).status_code == 204
    world.clock.advance_to(world.clock.now + timedelta(hours=1))
    plan = org.ok("plan")
    assert (plan["summary"]["creates"], plan["summary"]["removes"]) == (1, 1)
    document = org.ok("sync")
    assert document["summary"]["healed"] == 2
    rows_ = {row["KPI_Key__c"]: row for row in org.query(f"SELECT Id, KPI_Key__c, KPI_Stale_Reason__c FROM {COMPANION}")}
    assert rows_[a["KPI_Key__c"]]["KPI_Stale_Reason__c"] != "mine"
    assert rows_[b["KPI_Key__c"]]["Id"] != b["Id"]
    assert c["KPI_Key__c"] not in rows_
    assert org.ok("sync")["summary"]["written"] == 0
    assert org.ok("audit", "verify")["summary"]


def test_an_approved_removal_is_there_when_its_turn_comes(org: Org) -> None:
    """The deal behind it is gone, and every day what is gone is taken from saved plans: all but this."""
    org.ok("sync")
    kept, gone = (row["KPI_Key__c"] for row in org.query(f"SELECT KPI_Key__c FROM {COMPANION} ORDER BY KPI_Key__c LIMIT 2"))
    settings = org.root / "connector.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + '\n[guards]\nrequire_approval = "always"\n', encoding="utf-8")
    with App(org.root) as app:
        name = app.store.observed("sf-demo")[gone].name
    url = f"{org.base_url}/{DATA}/sobjects/Opportunity/{gone}"
    assert requests.delete(url, headers=org.as_user(org.world.org.admin), timeout=30).status_code == 204
    org.world.clock.advance_to(org.world.clock.now + timedelta(hours=1))
    code, document = org.run("sync")
    assert code == 4, document
    number = document["result"]["plan"]["id"]
    assert org.ok("plans", "show", number)["summary"]["removes"] == 1
    org.ok("plans", "approve", number)
    with App(org.root) as app:
        upkeep.daily(app)
        assert str(name) not in (org.root / "state" / "plans" / f"{number}.json").read_text(encoding="utf-8")
        [push] = approvals.apply_approved(app, "sf-demo", trigger="schedule").pushes
        assert [o.status for o in push.outcomes if o.update.action == "remove"] == ["written"]
        assert app.store.plans.get(number).status == "applied"
    left = {row["KPI_Key__c"] for row in org.query(f"SELECT KPI_Key__c FROM {COMPANION}")}
    assert kept in left
    assert gone not in left


def test_a_rollback_takes_every_row_and_value_away_again(org: Org) -> None:
    org.ok("sync")
    kept = org.query(f"SELECT Id, KPI_Key__c FROM {COMPANION} ORDER BY KPI_Key__c LIMIT 1")[0]
    url = f"{org.base_url}/{DATA}/sobjects/{COMPANION}/{kept['Id']}"
    assert requests.patch(url, json={"KPI_Stale_Reason__c": "mine"}, headers=org.as_user(org.world.org.admin), timeout=30).status_code == 204
    code, document = org.run("rollback", pushed(org))
    assert code == 3, document
    [row] = org.query(f"SELECT Id, KPI_Key__c, KPI_Stale_Reason__c, KPI_Pace__c FROM {COMPANION}")
    assert (row["Id"], row["KPI_Stale_Reason__c"], row["KPI_Pace__c"]) == (kept["Id"], "mine", None)
    assert org.query("SELECT Id FROM KPI_Rep_Scorecard__c") == []
    assert org.query("SELECT Id FROM KPI_Snapshot__c") == []
    assert org.query("SELECT Id FROM Account WHERE KPI_Open_Pipeline__c != null") == []


@pytest.fixture
def portal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    with bare_portal(tmp_path, capsys.readouterr) as company:
        on_hubspot = "\n".join(
            f"  {section}: {{" + ", ".join(f"{row.key}: {row.hubspot}" for row in known) + "}"
            for section, known in (("account", scorecard_fields.ACCOUNT), ("contact", scorecard_fields.CONTACT))
        )
        company.change("hubspot.yaml", "\ndeny:", f"{on_hubspot}\n\ndeny:")
        _leaders(company, list(company.world.portal.records["contacts"])[:3])
        code, document = company.provision(monkeypatch, "apply", "--yes")
        assert code == 0, document
        yield company


def test_companies_and_contacts_of_a_portal_hold_what_their_cards_say(portal: Portal) -> None:
    code, document = portal.run("sync")
    assert (code, {finding["code"] for finding in document["findings"]} & {"SC-E052"}) == (5, {"SC-E052"}), "the key may not write to companies"
    assert document["summary"]["written"] > 100, "the deals were written all the same"
    portal.world.portal.tokens.grant("sandbox-token", *SYNC_SCOPES, "crm.objects.companies.write", "crm.objects.contacts.write")
    assert portal.ok("sync")["summary"]["not_written"] == 0
    assert portal.ok("sync")["summary"]["written"] == 0
    book, records = book_of(portal, "hs-demo"), portal.world.portal.records
    for object, grain, cards in (("companies", "account", account_cards(book)), ("contacts", "contact", contact_cards(book))):
        assert cards
        for id, card in cards.items():
            for key, field in MANIFESTS[grain].items():
                held = records[object][int(id)].values.get(field.hubspot)
                assert fields.text(field, held) == fields.text(field, fields.wire(field, card.values[key], "hubspot")), (id, key)
    held = {id: records["deals"][int(id)].values.get("kpi_blended_arr") for id in scorecards(book)}
    assert {id: value for id, value in held.items() if value} == {
        id: fields.shortest(card.blended_arr) for id, card in scorecards(book).items() if card.blended_arr is not None and card.stage is not None
    }
    portal.ok("rollback", pushed(portal))
    ours = {field.hubspot for grain in ("account", "contact") for field in MANIFESTS[grain].values()}
    left = [(id, name) for object in ("companies", "contacts") for id, row in records[object].items() for name in ours if row.values.get(name)]
    assert left == []


def test_a_deal_and_a_company_of_one_number_stay_apart_in_the_audit(portal: Portal) -> None:
    """A portal counts the records of each object by themselves."""
    house, clock = portal.world.portal, portal.world.clock
    house.tokens.grant("sandbox-token", *SYNC_SCOPES, "crm.objects.companies.write", "crm.objects.contacts.write")
    portal.ok("sync")
    like = next(row for row in house.records["deals"].values() if row.values.get("kpi_stage"))
    number = next(id for id, row in house.records["companies"].items() if row.values.get("kpi_open_pipeline") and id not in house.records["deals"])
    house.next_id["deals"], after = number, house.next_id["deals"]
    deal = house.create("deals", {name: like.values[name] for name in ("dealname", "pipeline", "dealstage", "closedate")})
    house.next_id["deals"] = after
    assert deal.id == str(number)
    clock.advance_to(clock.now + timedelta(hours=1))
    portal.ok("sync")
    house.update(deal, {"kpi_stage": ""})
    house.update(house.records["companies"][number], {"kpi_open_pipeline": "1"})
    clock.advance_to(clock.now + timedelta(hours=1))
    document = portal.ok("sync")
    both = {(str(number), "kpi_stage"), (f"companies:{number}", "kpi_open_pipeline")}
    assert {(row["id"], row["field"]) for push in document["result"]["pushes"] for row in push["healed"]} == both
    with App(portal.root) as app:
        rows = [row.as_dict() for row in app.store.audit.after(0)]
    [*_, ended] = [row["detail"] for row in rows if row["action"] == "push.ended"]
    assert ended["healed"] == {id: [field] for id, field in both}
    batches = [row["detail"] for row in rows if row["action"] == "batch.written" and row["detail"]["run"] == ended["run"]]
    written = [id for batch in batches for id in batch["records"]["written"]]
    assert sorted(written) == sorted(id for id, _ in both)


def test_without_the_right_to_make_rows_the_push_stops_and_names_it(org: Org) -> None:
    rights = org.world.org.tables["ObjectPermissions"].rows.values()
    given = next(row for row in rights if row["SobjectType"] == COMPANION and row.get("PermissionsCreate"))
    org.world.org.update("ObjectPermissions", given["Id"], {"PermissionsCreate": False})
    code, document = org.run("sync")
    [push] = document["result"]["pushes"]
    refused = {(row["code"], row["crm_code"]) for row in push["not_written"]}
    assert (code, document["summary"]["written"], refused) == (3, 0, {("SC-E153", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY")})
    assert org.query(f"SELECT Id FROM {COMPANION}") == []


def test_a_snapshot_that_is_missing_is_made_by_the_next_run_and_the_others_stay_as_they_were_said(org: Org) -> None:
    org.ok("sync")
    asked = "SELECT Id, KPI_Key__c, KPI_As_Of__c, KPI_Value__c FROM KPI_Snapshot__c"
    first, *others = org.query(asked)
    url = f"{org.base_url}/{DATA}/sobjects/KPI_Snapshot__c/{first['Id']}"
    assert requests.delete(url, headers=org.as_user(org.world.org.admin), timeout=30).status_code == 204
    org.world.clock.advance_to(org.world.clock.now + timedelta(days=1))  # a Saturday: the same week
    org.ok("sync")
    found = {row["Id"]: row for row in org.query(asked)}
    assert {row["Id"]: row for row in others} == {id: row for id, row in found.items() if id in {row["Id"] for row in others}}
    [again] = [row for id, row in found.items() if id not in {row["Id"] for row in others}]
    assert again["KPI_Key__c"].rpartition("|")[0] == first["KPI_Key__c"].rpartition("|")[0]
    assert again["KPI_As_Of__c"] > first["KPI_As_Of__c"]

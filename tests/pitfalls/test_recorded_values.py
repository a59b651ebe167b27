"""Values as recorded answers of the real APIs spell them: amounts, flags, stamps, stages, scripts, sentinels; and a public export of deals."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from connector import runs
from connector.sandbox.errors import SandboxError
from tests.pitfalls.catalogue import BOTH, HS, SF
from tests.pitfalls.overheard import Answer, overheard
from tests.pitfalls.requests_seen import asked
from tests.rig import NAME

both = pytest.mark.parametrize("crm", BOTH)
hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])


AMOUNTS = {
    HS: ("3000", "5000.00", "3600.0", "0.10", "12345678901234567.89", "", None),
    SF: (950_000_000.0, 12_300, 3_600.5, 0.1, 1_234_567_890.12, None, None),
}


@both
@pytest.mark.pitfall("R9")
def test_decimal_text_and_blank(rig: Any) -> None:
    """Amounts in every spelling seen are exact Decimals, also inside the book; blank and null are None, never 0."""
    deals = {rig.open_deal(): amount for amount in AMOUNTS[rig.crm]}
    rig.advance(60)
    for deal, amount in deals.items():
        _store(rig, deal, amount, **{SF: {"name": "Amount"}, HS: {"name": "amount"}}[rig.crm])
    done = runs.pull(rig.app, [NAME])
    held = {row["id"]: row["amount"] for row in rig.rows("opportunities")}
    booked = dict(runs.books(rig.app, done)[NAME].deals.select("id", "amount").iter_rows())
    for deal, amount in deals.items():
        want = None if amount in ("", None) else Decimal(str(amount))
        assert held[deal] == want
        assert booked[deal] == want
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("R10")
def test_boolean_text_and_counters(rig: Any) -> None:
    """Text "false" is false and empty is unknown; "0" and "1" are a flag where one is mapped, and a number where a number is."""
    mapping = rig.own_mappings() / "hubspot.yaml"
    words = mapping.read_text(encoding="utf-8").replace("{from: capital_amount, type: money}", "{from: num_associated_contacts, type: money}")
    mapping.write_text(words, encoding="utf-8")
    rig.reopen()
    spelt = {"true": True, "false": False, "": None, "0": False, "1": True, "FALSE": False}
    deals = {rig.open_deal(): word for word in spelt}
    for deal, word in deals.items():
        _store(rig, deal, word, name="baa_flag")
        _store(rig, deal, "false", name="connects_to_network")
        _store(rig, deal, "0", name="num_associated_contacts")
    rig.pull()
    held = {row["id"]: row["baa"] for row in rig.rows("opportunities")}
    assert {word: held[deal] for deal, word in deals.items()} == spelt
    security = [row for row in rig.rows("gates") if row["opportunity"] in deals and row["gate"] == "security"]
    assert {row["required"] for row in security} == {"not_required"}
    counted = {id: counted for id, counted in _column(rig, "capital_amount").items() if id in deals}
    assert set(counted.values()) == {Decimal(0)}
    assert _column(rig, "capital_amount")[rig.deals[0]] == Decimal(1), "a counter of 1 is no flag"
    assert rig.app.store.dead_letters.find(NAME) == []


@both
@pytest.mark.pitfall("R11")
@pytest.mark.parametrize("ending", [".000+0000", ".000Z", "Z"])
def test_three_time_spellings(rig: Any, ending: str) -> None:
    """Every stamp of every answer spelt one way, then another: the same instants, the same rows, and the bookmark still finds what is new."""
    rig.tempo = 1.0
    rig.advance(1.0 - rig.now.microsecond / 1_000_000)
    first = rig.open_deal()

    def spelt(answer: Answer) -> None:
        for known in (b".000+0000", b".000Z"):
            answer.content = answer.content.replace(known + b'"', ending.encode() + b'"')

    with overheard(rig, spelt) as answers:
        rig.pull()
        rig.advance(3_600)
        rig.edit(first, amount=Decimal(71))
        second = rig.open_deal()
        rig.pull()
    assert any(f'{ending}"' in a.content.decode() for a in answers)
    assert {first, second} <= set(_ids(rig))
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()
    rig.pull(full=True)
    rig.assert_same()


@both
@pytest.mark.pitfall("R12")
def test_deal_without_stage(rig: Any) -> None:
    """A deal whose stage and pipeline are null is held without them, set aside by the plan, and keeps no other deal from being planned."""
    deal = rig.deals[0]
    if rig.crm == SF:
        rig.org.tables["Opportunity"].rows[deal].update(StageName=None)
        rig.org.tables["Opportunity"].rows[deal].pop("RecordTypeId", None)
        history = rig.org.tables["OpportunityHistory"]
        for id in list(history.ids_with("OpportunityId", (deal,))):
            history.remove(id)
    else:
        for name in ("dealstage", "pipeline"):
            rig.portal.records["deals"][int(deal)].values.pop(name)
            rig.portal.records["deals"][int(deal)].history.pop(name)
    rig.advance(60)
    done = rig.sync()
    row = _deal(rig, deal)
    assert row["raw_stage"] is None
    assert row["native_pipeline"] == {SF: "Master", HS: None}[rig.crm]
    assert done.made is not None
    assert done.made.plan.scopes[0].set_aside == 1
    assert rig.deals[1] in [update.id for update in done.made.plan.updates]
    assert deal not in [update.id for update in done.made.plan.updates]
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.pull()
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R12b")
def test_stage_outside_picklist(rig: Any) -> None:
    """A deal sits in a stage that the picklist never had: it is held as it is, and by default blocks the push until somebody maps it."""
    deal = rig.deals[0]
    rig.set("Opportunity", deal, StageName="sam", Probability=0)
    settings = rig.root / "connector.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("unmapped_stage_share = 1.0", "unmapped_stage_share = 0.0"), encoding="utf-8")
    rig.reopen()
    rig.world.journal.clear()
    done = rig.sync()
    assert _deal(rig, deal)["raw_stage"] == "sam"
    assert [trip.code for push in done.pushes for trip in push.trips] == ["SC-E024"]
    assert done.exit_code == 4
    assert not [request for request in asked(rig) if request.startswith("PATCH")]
    rig.set("Opportunity", deal, StageName="Discover")
    assert rig.sync().exit_code == 0
    rig.pull()
    rig.assert_same()


WORDS = ("株式会社メルシー 病院", "<p>Über &amp; “Mercy”</p>", "12 Main St\nFloor 3\r\nBuilding B", 'a,"b";c\t', "🏥 مستشفى")


@both
@pytest.mark.pitfall("R23")
def test_any_script_and_html_text(rig: Any) -> None:
    """Names and subjects in any script, with markup, quotes and line breaks, arrive as they are."""
    accounts = {rig.open_account(word, territory=word): word for word in WORDS}
    deals = {rig.open_deal(account, name=word): word for account, word in accounts.items()}
    talks = [rig.log(deal, None, "meeting", subject=f"<p></p>{word}: SOC&#45;2 <b>questionnaire</b>") for deal, word in deals.items()]
    rig.pull()
    held = {row["id"]: (row["name"], row["territory"]) for row in rig.rows("accounts") if row["id"] in accounts}
    assert held == {account: (word, word) for account, word in accounts.items()}
    assert all(_deal(rig, deal)["name"].startswith(word) for deal, word in deals.items())
    assert {row["topic"] for row in rig.rows("activities") if row["id"] in talks} == {"security"}
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()


@both
@pytest.mark.pitfall("R25")
def test_sentinel_dates_and_probability_1000(rig: Any) -> None:
    """9999-12-31 and 1900-01-01 are dates as they stand and break no KPI; a probability of 1000 is a dead letter of its deal alone."""
    last, early, mad = rig.open_deal(stage="pilot"), rig.open_deal(stage="vac"), rig.open_deal()
    rig.edit(last, closes_on=date(9999, 12, 31), contract_sent_on=date(9999, 12, 31))
    rig.edit(early, closes_on=date(1900, 1, 1))
    starts = {SF: ("Evaluation_Start__c", "VAC_Submitted_On__c"), HS: ("evaluation_start", "vac_submitted")}[rig.crm]
    for name in starts:
        _store(rig, last, "9999-12-31", name=name)
        _store(rig, early, "1900-01-01", name=name)
    name, value = {SF: ("Probability", 1000.0), HS: ("hs_deal_stage_probability", "1000")}[rig.crm]
    _store(rig, mad, value, name=name)
    done = rig.sync()
    assert [(letter.record, letter.code, letter.field) for letter in rig.app.store.dead_letters.find(NAME)] == [(mad, "SC-E079", name)]
    assert done.exit_code == 3
    assert (_deal(rig, last)["closes_on"], _deal(rig, early)["closes_on"]) == (date(9999, 12, 31), date(1900, 1, 1))
    assert _deal(rig, last)["pilot_started_on"] == date(9999, 12, 31)
    assert mad not in _ids(rig)
    _store(rig, mad, {SF: 10.0, HS: "0.1"}[rig.crm], name=name)
    rig.edit(mad, amount=Decimal(7))
    rig.pull()
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()


# -- a public data set -------------------------------------------------------------------------------------------------


TABLES = {
    "accounts.csv": "account,sector,year_established,revenue,employees,office_location,subsidiary_of\nAlder Clinic,medical,1996,11.4,28,,\n"
    "Birch,,,,,,\n",
    "products.csv": "product,series,sales_price\nGTX Pro,GTX,4821\nMG Special,MG,55\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nAnna Lund,Dustin Berg,Central\n",
}
PIPELINE = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
GOOD = (
    "A1,Anna Lund,GTXPro,Alder Clinic,Won,20-10-2016,01-03-2017,1054\n"
    "A2,Anna Lund,GTX Pro,,Engaging,25-10-2016,,\n"
    "A3,Anna Lund,MG Special,Birch,Prospecting,,,\n"
    "A4,Anna Lund,MG Special,,Lost,05-04-2017,06-04-2017,0\n"
)
BAD = {
    "unknown product": ("B1,Anna Lund,GTX Ultra,Birch,Engaging,25-10-2016,,\n", "product 'GTX Ultra' is not in products.csv"),
    "month first": ("B2,Anna Lund,GTX Pro,Birch,Won,10/20/2016,3/1/2017,10\n", "engage_date '10/20/2016' is no date of the form DD-MM-YYYY"),
    "ISO": ("B3,Anna Lund,GTX Pro,Birch,Engaging,2016-10-20,,\n", "engage_date '2016-10-20' is no date of the form DD-MM-YYYY"),
    "no such day": ("B4,Anna Lund,GTX Pro,Birch,Engaging,10-20-2016,,\n", "engage_date '10-20-2016' is no date of the form DD-MM-YYYY"),
    "no engage date": ("B5,Anna Lund,GTX Pro,Birch,Engaging,,,\n", "a deal in Engaging has no engage_date"),
    "unknown account": ("B6,Anna Lund,GTX Pro,Cedar,Engaging,25-10-2016,,\n", "account 'Cedar' is not in accounts.csv"),
}


@salesforce
@pytest.mark.pitfall("R24")
def test_export_with_unknown_product_and_mixed_dates(rig: Any, tmp_path: Any) -> None:
    """A line with an unknown product, or a date that could be read in two ways, is refused with its place, and nothing of the file is loaded.
    Another spelling of a product and a blank account are taken as they stand, and reach the state so."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name, content in TABLES.items():
        (folder / name).write_text(content, encoding="utf-8")
    for bad, said in BAD.values():
        (folder / "sales_pipeline.csv").write_text(PIPELINE + GOOD + bad, encoding="utf-8")
        with pytest.raises(SandboxError) as refused:
            rig.world.load_csv(folder)
        assert refused.value.details[0] == f"sales_pipeline.csv:6: {said}"
        assert rig.world.source == "empty", "the world is as it was"
    (folder / "sales_pipeline.csv").write_text(PIPELINE + GOOD, encoding="utf-8")
    assert rig.world.load_csv(folder)["opportunities"] == 4
    rig.pull()
    rig.assert_same()
    told = {rig.org.tables["Opportunity"].rows[row["id"]]["Source_Id__c"]: row for row in rig.rows("opportunities")}
    assert {id: row["product"] for id, row in told.items()} == {"A1": "GTXPro", "A2": "GTX Pro", "A3": "MG Special", "A4": "MG Special"}
    assert [told[id]["account"] is None for id in ("A1", "A2", "A3", "A4")] == [False, True, False, True]
    assert (told["A1"]["closes_on"], told["A4"]["closes_on"]) == (date(2017, 3, 1), date(2017, 4, 6))
    assert [told[id]["amount"] for id in ("A1", "A2", "A3", "A4")] == [Decimal(1054), None, None, Decimal(0)], "lost for 0 is 0, unknown is None"


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _ids(rig: Any) -> list[str]:
    return [row["id"] for row in rig.rows("opportunities")]


def _deal(rig: Any, id: str) -> dict[str, Any]:
    return dict(next(row for row in rig.rows("opportunities") if row["id"] == id))


def _column(rig: Any, name: str) -> dict[str, Decimal | None]:
    with rig.app.store.database.read() as db:
        rows = db.execute(text(f"SELECT id, {name} FROM opportunities")).all()
    return {id: None if value is None else Decimal(str(value)) for id, value in rows}


def _store(rig: Any, deal: str, value: Any, *, name: str) -> None:
    """Straight into the CRM's own storage, where its API or its screens would refuse it; None takes the value out."""
    values = rig.org.tables["Opportunity"].rows[deal] if rig.crm == SF else rig.portal.records["deals"][int(deal)].values
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value

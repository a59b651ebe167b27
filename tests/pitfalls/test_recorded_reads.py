"""Reading pages, ids and associations as recorded answers of the real APIs hold them: ties, short pages, gaps, twice the same, no key at all."""

from __future__ import annotations

from typing import Any

import pytest

from connector.crms.base import StreamSpec, Window
from connector.errors import MappingError
from tests.pitfalls.catalogue import HS, SF
from tests.pitfalls.overheard import Answer, overheard
from tests.pitfalls.requests_seen import asked
from tests.rig import NAME

hubspot = pytest.mark.parametrize("crm", [HS])
salesforce = pytest.mark.parametrize("crm", [SF])
SEARCH = "/crm/objects/*/{}/search"
LINKS = "/crm/associations/*/batch/read"


# -- ties and pages ----------------------------------------------------------------------------------------------------


@salesforce
@pytest.mark.pitfall("R1")
def test_one_second_ties(rig: Any) -> None:
    """31 deals share one stamp, twenty of them read before the other eleven are committed: all are held, each once."""
    rig.advance(1.0 - rig.now.microsecond / 1_000_000)
    with rig.one_instant():
        tied = [rig.open_deal() for _ in range(20)]
        rig.pull()
        tied += [rig.open_deal() for _ in range(11)]
    assert len({rig.org.tables["Opportunity"].rows[id]["SystemModstamp"] for id in tied}) == 1
    rig.pull()
    assert sorted(id for id in _ids(rig) if id in tied) == sorted(tied)
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R2")
@pytest.mark.parametrize("passed", [60, 0], ids=["an old tie", "a tie of this very second"])
def test_page_border_inside_tie(rig: Any, passed: int) -> None:
    """Every border of ten pages lies inside one tie whose ids come in no order by themselves, and the cursor is lost at three of them."""
    with rig.one_instant():
        tied = [rig.open_deal() for _ in range(60)]
    rows = rig.org.tables["Opportunity"].rows
    rig.org.tables["Opportunity"].rows = dict(reversed(rows.items()))
    rig.org.page_size = 6
    rig.advance(passed)
    for after in (1, 3, 5):
        rig.world.faults.add(SF, "locator-lost", object="Opportunity", after=after, times=1)
    rig.world.journal.clear()
    rig.pull()
    begun = [request for request in asked(rig) if "FROM Opportunity " in request and "ORDER BY" in request]
    assert len(begun) == 4, "begun once, and again after each lost cursor"
    assert all("ORDER BY SystemModstamp, Id" in request for request in begun)
    resumed = [request for request in begun if "AND Id > '006" in request]
    assert len(resumed) == 3, "each time from (stamp, id) on"
    assert set(tied) <= set(_ids(rig))
    assert len(_ids(rig)) == len(set(_ids(rig)))
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R3")
def test_thousand_row_pages(rig: Any) -> None:
    """2,000 rows a page are asked for and 1,000 come, twice, then a short rest: only ``done`` ends the read."""
    for number in range(2_083):
        rig.org.insert("Account", {"Name": f"Clinic {number}"})
    rig.org.page_size = 1_000
    with overheard(rig) as answers:
        rig.pull(stream="accounts")
    pages = [a.json for a in answers if a.of("/services/data/*/query*") and "records" in a.content.decode()]
    sizes = [len(page["records"]) for page in pages if page["records"] and page["records"][0]["attributes"]["type"] == "Account"]
    assert sizes == [1_000, 1_000, 86]
    assert rig.rows("accounts") == rig.truth("accounts")


@hubspot
@pytest.mark.pitfall("R4")
def test_total_without_results(rig: Any) -> None:
    """The index counts three deals and shows none: the pull ends, and the deals are known as deleted."""
    for _ in range(2):
        rig.pull()
        rig.advance(3 * 3_600)
    late = [rig.open_deal() for _ in range(3)]
    rig.portal.settle()
    rig.portal.index_lag = 600
    for deal in late:
        rig.delete(deal)
    with overheard(rig) as answers:
        rig.pull()
    searches = [a.json for a in answers if a.of(SEARCH.format("deals"))]
    assert any(found["total"] == 3 and found["results"] == [] for found in searches)
    assert len(searches) <= 4
    assert set(late) <= set(rig.tombstones("opportunities"))
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("R5")
def test_429_without_any_header(rig: Any) -> None:
    """A search is refused three times and no header says for how long: about a second each, not the ten of the other limit, and all is read."""
    rig.pull()
    deal = rig.open_deal()
    rig.world.faults.add(HS, "secondly-limit", path=SEARCH.format("deals"), times=3)
    rig.clock.slept.clear()
    with overheard(rig) as answers:
        rig.pull()
    refused = [a for a in answers if a.status == 429]
    assert len(refused) == 3
    assert not [name for a in refused for name in a.headers if "ratelimit" in name or name == "retry-after"]
    waits = [seconds for seconds in rig.clock.slept if seconds >= 1]
    assert len(waits) >= 3
    assert max(waits) < 10
    assert deal in _ids(rig)
    rig.assert_same()


# -- associations, ids, parents ----------------------------------------------------------------------------------------


@hubspot
@pytest.mark.pitfall("R13")
def test_duplicate_and_absent_associations(rig: Any) -> None:
    """Every pair comes twice, once for each type, and a record without any has no key at all: nobody counts twice, nothing fails."""
    lonely = rig.log(None, None, "call")

    def doubled(answer: Answer) -> None:
        if not answer.of(LINKS):
            return
        body = answer.json
        for result in body["results"]:
            result["to"] = [{**to, "associationTypes": [kind]} for to in result["to"] for kind in (*to["associationTypes"], *to["associationTypes"])]
        nobody = [id for error in body.pop("errors", []) for id in error["context"]["fromObjectId"]]
        body["results"] += [{"from": {"id": id}} for id in nobody]
        answer.status, answer.json = 200, body

    with overheard(rig, doubled) as answers:
        rig.pull()
        rig.advance(days=1, seconds=60)
        rig.pull()
    told = [result for a in answers if a.of(LINKS) for result in a.json["results"]]
    assert any("to" not in result for result in told)
    assert any(len(result.get("to", ())) > len({to["toObjectId"] for to in result["to"]}) for result in told if "to" in result)
    assert len(rig.rows("contact_roles")) == 1
    assert [row["id"] for row in rig.rows("activities")].count(lonely) == 1
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("R14")
def test_number_and_text_ids_join(rig: Any) -> None:
    """Ids of associated records as numbers, those of the records as text: deals, contacts and accounts still find each other."""

    def numbered(answer: Answer) -> None:
        if answer.of(LINKS):
            body = answer.json
            for result in body["results"]:
                result["from"]["id"] = int(result["from"]["id"])
                for to in result["to"]:
                    to["toObjectId"] = int(to["toObjectId"])
            for error in body.get("errors", []):
                error["context"]["fromObjectId"] = [int(id) for id in error["context"]["fromObjectId"]]
            answer.json = body

    with overheard(rig, numbered) as answers:
        rig.pull()
    assert any(type(to["toObjectId"]) is int for a in answers if a.of(LINKS) for result in a.json["results"] for to in result["to"])
    assert _deal(rig, rig.deals[0])["account"] == rig.accounts[0]
    assert [row["contact"] for row in rig.rows("contact_roles")] == [rig.contacts[0]]
    assert [row["contact"] for row in rig.rows("activities")] == [rig.contacts[0]]
    assert [row["opportunity"] for row in rig.rows("activity_deals")] == [rig.deals[0]]
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("R15")
def test_next_link_is_ignored(rig: Any) -> None:
    """Each next page's link leads to another path with another cursor: only ``after`` is followed."""
    for _ in range(120):
        rig.open_deal()
    for _ in range(230):
        rig.log(None, None, "task")

    def astray(answer: Answer) -> None:
        body = answer.json if answer.content[:1] == b"{" else {}
        if "paging" in body:
            body["paging"]["next"]["link"] = f"{rig.base_url}/crm/objects/v3/deals?offset_param=after&limit=1&after=1"
            answer.json = body

    with overheard(rig, astray) as answers:
        rig.world.journal.clear()
        rig.pull()
    linked = [a for a in answers if b"offset_param" in a.content]
    assert {a.method for a in linked} == {"GET", "POST"}, "of lists and of searches"
    assert not [request for request in asked(rig) if "offset_param" in request or "/objects/v3/" in request]
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R17")
def test_null_parent(rig: Any) -> None:
    """A deal without account and record type, a contact without account: unknown, not an error, and no other record suffers."""
    deal, contact = rig.deals[0], rig.contacts[0]
    rig.set("Opportunity", deal, AccountId=None, RecordTypeId=None)
    rig.set("Contact", contact, AccountId=None)
    with overheard(rig) as answers:
        rig.pull()
    assert any(b'"RecordType":null' in a.content for a in answers)
    row = _deal(rig, deal)
    assert (row["account"], row["native_pipeline"]) == (None, "Master")
    assert next(row for row in rig.rows("contacts") if row["id"] == contact)["account"] is None
    assert rig.app.store.dead_letters.find(NAME) == []
    rig.assert_same()


@salesforce
@pytest.mark.pitfall("R19")
def test_id_15_and_18(rig: Any) -> None:
    """Ids of 15 characters, of the records and of what they refer to, are the same records as those of 18."""
    rig.pull()
    rig.set("Opportunity", rig.deals[0], NextStep="call")

    def short(answer: Answer) -> None:
        if answer.of("/services/data/*/query*") and answer.content[:1] == b"{":
            answer.json = _shortened(answer.json)

    with overheard(rig, short) as answers:
        rig.advance(3_600)
        rig.pull()
        rig.pull(full=True)
    assert any(len(row["Id"]) == 15 for a in answers if a.of("/services/data/*/query*") for row in a.json.get("records", ()) if "Id" in row)
    for stream in ("owners", "accounts", "contacts", "opportunities", "activities"):
        assert {len(row["id"]) for row in rig.rows(stream)} == {18}, stream
    assert _deal(rig, rig.deals[0])["account"] == rig.accounts[0]
    rig.assert_same()


@hubspot
@pytest.mark.pitfall("R26")
def test_object_names_any_case(rig: Any) -> None:
    """The API takes an object's name in any case, singular or plural, and its number: all give the same records and the same stamps.
    The mapping takes one spelling, and names it where another is written."""
    objects = {"deals": ("deal", "DEALS", "0-3"), "contacts": ("Contact", "CONTACTS", "0-1"), "companies": ("COMPANY", "Companies", "0-2")}
    field = {"deals": "dealname", "contacts": "jobtitle", "companies": "name"}
    with rig.app.connected(NAME) as connected:
        crm = connected.crm
        until = crm.now()
        for plain, others in objects.items():
            spec = StreamSpec("any", plain, (field[plain],))
            want = _read(crm, spec, until)
            assert len(want) >= 3
            for other in others:
                spelt = StreamSpec("any", other, (field[plain],))
                assert _read(crm, spelt, until) == want, other
                assert sorted(id for page in crm.ids(spelt) for id in page) == sorted(want), other
                assert crm.fetch(other, list(want), (field[plain],)).keys() == want.keys(), other
                assert crm.discover(other).keys() == crm.discover(plain).keys(), other
    mapping = rig.own_mappings() / "hubspot.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("object: deals", "object: DEALS", 1), encoding="utf-8")
    rig.reopen()
    with pytest.raises(MappingError) as refused:
        rig.pull()
    assert [(finding.code, finding.suggestion) for finding in refused.value.findings] == [("SC-E021", "deals")]


# -- hands on both CRMs ------------------------------------------------------------------------------------------------


def _ids(rig: Any) -> list[str]:
    return [row["id"] for row in rig.rows("opportunities")]


def _deal(rig: Any, id: str) -> dict[str, Any]:
    return dict(next(row for row in rig.rows("opportunities") if row["id"] == id))


def _shortened(value: Any) -> Any:
    """Every id of a query's answer in 15 characters."""
    if isinstance(value, dict):
        return {key: one[:15] if key.endswith("Id") and isinstance(one, str) and len(one) == 18 else _shortened(one) for key, one in value.items()}
    return [_shortened(one) for one in value] if isinstance(value, list) else value


def _read(crm: Any, spec: StreamSpec, until: Any) -> dict[str, tuple[Any, Any]]:
    pages = crm.read(spec, Window(None, until))
    return {record.id: (record.version, record.values) for page in pages for record in page.records}

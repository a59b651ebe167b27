"""How each event of the business looks in the portal."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from connector.sandbox import events as e
from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.schema import TYPES
from connector.sandbox.hubspot.story import FIELDS, tell

T0 = datetime(2026, 3, 2, 15, 0, 0, 250_000, UTC)


class Teller:
    """Tells events a minute apart; ``record`` finds what one key became."""

    def __init__(self) -> None:
        self.clock = VirtualClock(T0)
        self.portal = Portal(self.clock)

    def __call__(self, kind, *args, **kwargs):
        self.clock.advance_to(self.clock.now + timedelta(minutes=1))
        tell(self.portal, kind(self.clock.now, *args, **kwargs))

    def record(self, kind, key):
        return self.portal.resolve(kind, self.portal.keys[kind, key])

    def deal(self, key="D1", stage="prospect", pipeline="capital", **more):
        given = {"name": "Hospital A", "account": "A1", "owner": "O1", "pipeline": pipeline, "stage": stage, "deal_type": "expansion",
                 "amount": Decimal("250000.00"), "currency": "EUR", "closes_on": date(2026, 9, 30), "product": "Beacon Cloud",
                 "lead_source": "conference", "arr": Decimal("40000"), "capital": None} | more  # fmt: skip
        self(e.DealOpened, key, **given)
        return self.record("deals", key)

    def labels(self, deal, to, key):
        rows = self.portal.linked("deals", deal.number, to)
        return {row["label"] for row in rows[self.record(to, key).number]}


@pytest.fixture
def told():
    teller = Teller()
    teller(e.OwnerJoined, "O1", "Ada Berg")
    teller(e.OwnerJoined, "O2", "Kim Ott")
    teller(e.AccountFound, "A1", "Hospital A", "university_hospital", "EMEA", "EU")
    teller(e.ContactFound, "C1", "A1", "Chief of surgery", kol=True)
    return teller


def test_people_and_companies(told):
    owner = told.portal.owners[told.portal.keys["owners", "O1"]]
    assert (owner.first, owner.last, owner.archived) == ("Ada", "Berg", False)
    company = told.record("companies", "A1")
    assert (company.values["facility_type"], company.values["sales_territory"], company.values["sales_region"]) == (
        "university_hospital",
        "EMEA",
        "EU",
    )
    contact = told.record("contacts", "C1")
    assert (contact.values["jobtitle"], contact.values["is_kol"]) == ("Chief of surgery", "true")
    (types,) = told.portal.linked("contacts", contact.number, "companies").values()
    assert [row["typeId"] for row in types] == [1, 279]
    told(e.OwnerLeft, "O1")
    assert owner.archived


def test_deal_opened(told):
    deal = told.deal()
    held = deal.values
    assert (held["pipeline"], held["dealstage"], held["amount"], held["deal_currency_code"]) == ("default", "168402300", "250000.00", "EUR")
    assert (held["dealtype"], held["primary_product"], held["hs_analytics_source"], held["hs_arr"]) == (
        "existingbusiness", "Beacon Cloud", "conference", "40000")  # fmt: skip
    assert held["closedate"] == "2026-09-30T16:00:00Z"  # noon in New York, in summer
    assert held["createdate"] == "2026-03-02T15:05:00.250Z"
    assert held["hubspot_owner_id"] == told.portal.keys["owners", "O1"]
    assert "capital_amount" not in held
    assert told.labels(deal, "companies", "A1") == {"Primary", None}
    (version,) = deal.history["dealstage"]
    assert version.source.user == told.portal.owners[held["hubspot_owner_id"]].user_id


def test_stage_moves_to_a_close_and_back(told):
    deal = told.deal()
    told(e.StageMoved, "D1", "vac", "O2")
    told(e.StageMoved, "D1", "won", "O2")
    assert (deal.values["dealstage"], deal.values["hs_is_closed_won"], deal.values["closedate"]) == ("closedwon", "true", "2026-03-02T15:07:00.250Z")
    told(e.StageMoved, "D1", "contracting", "O2")
    assert (deal.values["dealstage"], deal.values["hs_is_closed"]) == ("decisionmakerboughtin", "false")
    assert [version.value for version in deal.history["dealstage"]] == ["168402300", "168402311", "closedwon", "decisionmakerboughtin"]
    assert deal.history["dealstage"][-1].source.user == 1000003


def test_every_stage_of_the_business_has_an_id(told):
    for pipeline, stages in e.STAGES.items():
        for stage in (*stages, *e.RETIRED.get(pipeline, {})):
            known, found = told.portal.neutral_stage(pipeline, stage)
            assert found.deleted is (stage in e.RETIRED.get(pipeline, {}))
            assert told.portal.stage(found.id) == (known, found)


@pytest.mark.parametrize(
    ("pipeline", "old", "id_"), [("capital", "trial", "168402199"), ("capital", "old_vac", "168402198"), ("software", "old_security", "171000099")]
)
def test_retired_stages_stay_in_history(told, pipeline, old, id_):
    deal = told.deal(stage=old, pipeline=pipeline)
    told(e.StageMoved, "D1", "contracting", "O1")
    assert deal.history["dealstage"][0].value == id_
    assert id_ not in str([known.wire(0) for known in told.portal.pipelines])
    assert not any(id_ in name for name in deal.values)


def test_edits_of_every_field(told):
    deal = told.deal(pipeline="software")
    values = {key: date(2026, 4, 1) for key in FIELDS if key.endswith("_on")} | {
        "amount": Decimal("99.50"), "closes_on": date(2026, 12, 15), "owner": "O2", "next_step": "Call", "vac_needed": "yes", "vac_status": "tabled",
        "security_status": "waiting", "evaluation_result": "success", "gpo_status": "off_contract", "budget_approved": True, "standard_terms": False,
        "baa": True, "connects_to_network": True,
    }  # fmt: skip
    assert set(values) == set(FIELDS)
    told(e.DealEdited, "D1", "O2", values)
    held = deal.values
    kind = told.portal.properties["deals"]
    assert {held[FIELDS[key]] for key in values if key.endswith("_on") and key != "closes_on"} == {"2026-04-01"}
    assert (held["closedate"], held["amount"], held["hubspot_owner_id"]) == ("2026-12-15T17:00:00Z", "99.50", told.portal.keys["owners", "O2"])
    assert (held["standard_terms"], held["baa_flag"], held["evaluation_outcome"]) == ("false", "true", "success")
    _, problems = told.portal.check(TYPES["deals"], deal, {name: held[name] for name in FIELDS.values()})
    assert problems == []
    told(e.DealEdited, "D1", "O2", dict.fromkeys(("amount", "next_step", "loi_signed_on", "vac_status")))
    assert [held[name] for name in ("amount", "hs_next_step", "loi_signed", "vac_status")] == [""] * 4
    assert held["amount_in_home_currency"] == ""
    assert set(FIELDS.values()) <= set(kind)


@pytest.mark.parametrize(
    ("role", "label"),
    [("surgeon", "Clinical champion"), ("economic_buyer", "Economic buyer"), ("it_security", "IT / security"), ("vac_chair", "VAC chair"),
     ("executive_sponsor", "Executive sponsor"), ("blocker", "Blocker"), ("none", None), ("champion", None)],
)  # fmt: skip
def test_roles(told, role, label):
    deal = told.deal()
    before = deal.stamp
    told(e.RoleAdded, "D1", "C1", role)
    assert told.labels(deal, "contacts", "C1") == {label, None}
    assert told.record("contacts", "C1").values.get("hs_buying_role") == ("CHAMPION" if role == "champion" else None)
    assert deal.stamp == before


def test_meeting_call_email_task(told):
    told.deal()
    common = {"deal": "D1", "account": "A1", "contact": "C1", "owner": "O1", "by": "O1"}
    told(e.ActivityLogged, "M1", "meeting", subject="Demo day", type="Demo", outcome="no_show", **common)
    told(e.ActivityLogged, "K1", "call", subject="Ring", direction="inbound", outcome="connected", **common)
    told(e.ActivityLogged, "E1", "email", subject="Hello", direction="inbound", **common)
    told(e.ActivityLogged, "T1", "task", subject="Send", due_on=date(2026, 3, 20), **common)
    meeting, call, email, task = (
        told.record(kind, key).values for kind, key in (("meetings", "M1"), ("calls", "K1"), ("emails", "E1"), ("tasks", "T1"))
    )
    assert (meeting["hs_meeting_outcome"], meeting["hs_activity_type"], meeting["hs_timestamp"]) == ("NO_SHOW", "Demo", "2026-03-02T15:06:00.250Z")
    assert meeting["hs_meeting_end_time"] == "2026-03-02T15:36:00.250Z"
    assert (call["hs_call_direction"], call["hs_call_disposition"]) == ("INBOUND", "f240bbac-87c9-4f6e-bf70-924b57d47db7")
    assert (email["hs_email_direction"], email["hs_email_subject"]) == ("INCOMING_EMAIL", "Hello")
    assert (task["hs_timestamp"], task["hs_task_status"], task["hs_task_is_completed"]) == ("2026-03-20T16:00:00Z", "NOT_STARTED", "0")
    assert {record["hs_object_id"] for record in (meeting, call, email, task)} == {"40000000001"}  # unique within a type only
    for kind, key in (("meetings", "M1"), ("calls", "K1"), ("emails", "E1"), ("tasks", "T1")):
        for to in ("deals", "companies", "contacts"):
            assert len(told.portal.linked(kind, told.record(kind, key).number, to)) == 1
    told(e.ActivityLogged, "T1", "task", subject="Send", due_on=date(2026, 3, 20), done=True, **common)
    assert (task["hs_task_status"], task["hs_task_completion_date"]) == ("COMPLETED", "2026-03-02T15:10:00.250Z")
    assert len(told.portal.live["tasks"]) == 1


def test_delete_restore_merge_rename(told):
    one, two = told.deal("D1"), told.deal("D2")
    told(e.DealDeleted, "D1")
    assert one.archived_at is not None
    told(e.DealRestored, "D1")
    assert one.archived_at is None
    told(e.DealsMerged, "D2", "D1")
    heir = told.record("deals", "D1")
    assert heir is told.record("deals", "D2")
    assert heir.values["hs_merged_object_ids"] == f"{one.id};{two.id}"
    told(e.StageMoved, "D2", "vac", "O1")
    assert heir.values["dealstage"] == "168402311"
    told(e.AccountFound, "A2", "Hospital A.", "hospital", "EMEA", "EU")
    told(e.AccountsMerged, "A2", "A1")
    assert told.record("companies", "A1").values["facility_type"] == "university_hospital"
    assert told.labels(heir, "companies", "A2") == {"Primary", None}
    told(e.StageRenamed, "capital", "vac", "Value analysis")
    assert told.portal.stage("168402311")[1].label == "Value analysis"


def test_unknown_keys_are_errors(told):
    with pytest.raises(KeyError):
        told(e.StageMoved, "nobody", "vac", "O1")

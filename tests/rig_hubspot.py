"""A rig on a HubSpot portal: what people do there, and what its records hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from connector.sandbox import events
from connector.sandbox.hubspot import story
from connector.sandbox.hubspot.associations import PRIMARY
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record
from tests.rig import TITLES, Rig
from tests.rows import Row, Rows, ordered

ZONE = ZoneInfo("America/New_York")
SEGMENTS = {"asc": "clinic", "clinic": "clinic", "hospital": "hospital", "university_hospital": "hospital", "idn": "health_system"}
TYPES = {"newbusiness": "new_business", "existingbusiness": "expansion", "renewal": "renewal"}
GATES: dict[str, tuple[str, str, tuple[str, dict[str, str]], tuple[str, dict[str, str]]]] = {
    "clinical": ("evaluation_start", "evaluation_end", ("evaluation_outcome", {"success": "approved", "failure": "denied"}), ("", {})),
    "security": (
        "sec_q_sent", "sec_q_done", ("security_status", {"passed": "approved", "failed": "denied", "waiting": "tabled"}),
        ("connects_to_network", {"true": "required", "false": "not_required"}),
    ),
    "legal": ("contract_docs_sent", "contract_signed", ("", {}), ("", {})),
    "vac": (
        "vac_submitted", "vac_decision", ("vac_status", {"approved": "approved", "denied": "denied", "tabled": "tabled"}),
        ("vac_required", {"yes": "required", "no": "not_required"}),
    ),
    "procurement": ("", "", ("gpo_status", {"on_contract": "approved", "off_contract": "denied"}), ("", {})),
    "budget": ("", "", ("budget_approved", {"true": "approved"}), ("", {})),
}  # fmt: skip
"""Gate → opened on, decided on, result (property, its words), required (the same)."""
DAYS = {
    "proposal_sent_on": "proposal_sent_date", "loi_signed_on": "loi_signed", "secq_received_on": "sec_q_sent", "secq_returned_on": "sec_q_done",
    "legal_sent_on": "contract_docs_sent", "legal_signed_on": "contract_signed", "pilot_started_on": "evaluation_start",
    "pilot_ended_on": "evaluation_end",
}  # fmt: skip
HISTORY = {"dealstage": "stage", "pipeline": "pipeline", "closedate": "closes_on", "amount": "amount", "hubspot_owner_id": "owner"}
STREAMS = {"accounts": "companies", "contacts": "contacts", "opportunities": "deals"}
KINDS = {"owner": "owners", "account": "companies", "contact": "contacts", "deal": "deals", **story.KINDS}
ENGAGEMENTS = {"calls": "call", "emails": "email", "meetings": "meeting", "tasks": "task"}
SUBJECTS = {"calls": "hs_call_title", "emails": "hs_email_subject", "meetings": "hs_meeting_title", "tasks": "hs_task_subject"}
DIRECTIONS = {"EMAIL": "outbound", "FORWARDED_EMAIL": "outbound", "INCOMING_EMAIL": "inbound", "INBOUND": "inbound", "OUTBOUND": "outbound"}


class HubSpotRig(Rig):
    """Ids of activities carry their object: ``calls:123``."""

    crm = "hubspot"

    @property
    def portal(self) -> Portal:
        return self.world.portal

    def tell(self, event: events.Event) -> None:
        story.tell(self.portal, event)

    def id_of(self, kind: str, key: str) -> str:
        object = KINDS[kind]
        id = self.portal.keys[object, key]
        return f"{object}:{id}" if object in ENGAGEMENTS else id

    def record(self, object: str, id: str) -> Record:
        """The record that an id means today."""
        found = self.portal.resolve(object, id)
        assert found is not None, f"{object} {id} is gone"
        return found

    def is_live(self, id: str, kind: str = "deal") -> bool:
        object, _, number = id.rpartition(":")
        record = self.portal.records[object or KINDS[kind]].get(int(number))
        return record is not None and record.archived_at is None

    def is_binned(self, id: str, kind: str = "deal") -> bool:
        record = self.portal.records[KINDS[kind]].get(int(id))
        return record is not None and record.archived_at is not None

    # -- people ------------------------------------------------------------------------------------------------------

    def set(self, object: str, id: str, **values: str) -> None:
        """Any properties of any record, as text."""
        self.tick()
        self.portal.update(self.record(object, id), values)

    def delete(self, deal: str) -> None:
        self.tick()
        self.portal.archive(self.record("deals", deal))

    def restore(self, deal: str) -> None:
        self.tick()
        self.portal.restore(self.record("deals", deal))

    def purge(self, deal: str) -> None:
        self.tick()
        self.portal.erase(self.record("deals", deal))

    def purge_contact(self, contact: str) -> None:
        self.tick()
        self.portal.erase(self.record("contacts", contact))

    def associate(self, deal: str, object: str, id: str, label: str | None = None) -> None:
        """Link a deal with a contact or a company (``label`` Primary makes it the deal's account). No stamp moves."""
        self.tick()
        self.portal.associate(self.record("deals", deal), self.record(object, id), label)

    def dissociate(self, deal: str, object: str, id: str) -> None:
        self.tick()
        self.portal.dissociate(self.record("deals", deal), self.record(object, id))

    def remove_role(self, deal: str, contact: str) -> None:
        self.dissociate(deal, "contacts", contact)

    def delete_contact(self, contact: str) -> None:
        self.tick()
        self.portal.archive(self.record("contacts", contact))

    def merge_accounts(self, loser: str, winner: str) -> str:
        return self._merge("companies", loser, winner, self.accounts)

    def merge_contacts(self, loser: str, winner: str) -> str:
        return self._merge("contacts", loser, winner, self.contacts)

    def merge_deals(self, loser: str, winner: str) -> str:
        return self._merge("deals", loser, winner, self.deals)

    def _merge(self, object: str, loser: str, winner: str, ids: list[str]) -> str:
        self.tick()
        key = self.key_of(winner)
        heir = self.portal.merge(self.record(object, winner), self.record(object, loser)).id
        self._keys[heir] = key
        ids.append(heir)
        return heir

    def edit_activity(self, activity: str, subject: str) -> None:
        object, _, id = activity.partition(":")
        self.set(object, id, **{SUBJECTS[object]: subject})

    def file(self, activity: str, deal: str | None) -> None:
        self.tick()
        object, _, id = activity.partition(":")
        record = self.record(object, id)
        for held in self._linked(record, "deals"):
            self.portal.dissociate(record, self.record("deals", held))
        if deal is not None:
            self.portal.associate(record, self.record("deals", deal))

    def delete_activity(self, activity: str) -> None:
        self.tick()
        object, _, id = activity.partition(":")
        self.portal.archive(self.record(object, id))

    def edit_account(self, account: str, *, name: str | None = None, territory: str | None = None) -> None:
        values = {"name": name, "sales_territory": territory}
        self.set("companies", account, **{key: value for key, value in values.items() if value is not None})

    def rename_stage(self, stage: str, label: str, pipeline: str = "capital") -> None:
        self.tell(events.StageRenamed(self.tick(), pipeline, stage, label))

    @contextmanager
    def index_lag(self, seconds: float) -> Iterator[None]:
        """Inside, search shows the world as it was so many seconds ago."""
        self.portal.index_lag = seconds
        try:
            yield
        finally:
            self.portal.index_lag = 0.0

    # -- truth -------------------------------------------------------------------------------------------------------

    def truth(self, stream: str) -> Rows:
        return ordered(list(getattr(self, f"_{stream}")()))

    def merged(self, stream: str) -> dict[str, str]:
        object = STREAMS[stream]
        found = {}
        for number in self.portal.aliases[object]:
            heir = self.portal.resolve(object, str(number))
            if heir is not None and heir.archived_at is None:
                found[str(number)] = heir.id
        return found

    def _live(self, object: str) -> Iterator[Record]:
        return (self.portal.records[object][number] for number in self.portal.live[object])

    def _linked(self, record: Record, to: str) -> dict[str, frozenset[str]]:
        """Live linked id → names of its labels."""
        found = self.portal.linked(record.kind.name, record.number, to)
        return {str(id): frozenset(str(kind["label"]) for kind in kinds if kind["label"]) for id, kinds in found.items()}

    def _account(self, record: Record) -> str | None:
        """The company labelled Primary, else the only one."""
        linked = self._linked(record, "companies")
        first = [id for id, labels in linked.items() if PRIMARY in labels]
        return first[0] if len(first) == 1 else next(iter(linked)) if len(linked) == 1 else None

    def _owners(self) -> Iterator[Row]:
        for owner in self.portal.owners.values():
            yield {"id": owner.id, "name": f"{owner.first} {owner.last}".strip(), "active": not owner.archived}

    def _accounts(self) -> Iterator[Row]:
        for record in self._live("companies"):
            of = record.values.get
            segment = SEGMENTS.get(of("facility_type") or "")
            yield {"id": record.id, "name": of("name"), "segment": segment, "territory": of("sales_territory"), "region": of("sales_region")}

    def _contacts(self) -> Iterator[Row]:
        for record in self._live("contacts"):
            title = record.values.get("jobtitle")
            kol = record.values.get("is_kol") == "true"
            yield {"id": record.id, "account": self._account(record), "title": title, "persona": TITLES.get(title or ""), "kol": kol}

    def _opportunities(self) -> Iterator[Row]:
        for record in self._live("deals"):
            of = {name: value for name, value in record.values.items() if value != ""}.get
            closes = of("closedate")
            yield {
                "id": record.id, "name": of("dealname"), "account": self._account(record), "owner": of("hubspot_owner_id"),
                "native_pipeline": of("pipeline"), "raw_stage": of("dealstage"), "deal_type": TYPES.get(of("dealtype") or ""),
                "amount": _money(of("amount")), "currency": of("deal_currency_code"), "probability": _money(of("hs_deal_stage_probability")),
                "created_at": _instant(str(of("createdate"))), "closes_on": _local(closes) if closes else None,
                "lead_source": of("hs_analytics_source"), "product": of("primary_product"), "has_next_step": bool(of("hs_next_step")),
                **{key: _day(of(name)) for key, name in DAYS.items()}, "standard_terms": _flag(of("standard_terms")), "baa": _flag(of("baa_flag")),
                "observed": self._scorecard(record),
            }  # fmt: skip

    def _scorecard(self, record: Record) -> dict[str, str | None]:
        names = [name for name in self.portal.properties["deals"] if name.startswith("kpi_")]
        return {name: record.values.get(name) or None for name in names}

    def _changes(self) -> Iterator[Row]:
        for record in self._live("deals"):
            for name, field in HISTORY.items():
                # A merge unites two histories: what both deals were given at one instant is one change.
                for version in dict.fromkeys(record.history.get(name, [])):
                    value: str | None = version.value or None
                    if value and field == "closes_on":
                        value = _local(value).isoformat()
                    elif value and field == "amount":
                        value = _plain(Decimal(value))
                    at = datetime.fromtimestamp(version.at / 1000, ZONE)
                    by = version.source.type if version.source.user is None else str(version.source.user)
                    yield {"opportunity": record.id, "field": field, "value": value, "at": at.astimezone(UTC), "by": by}

    def _gates(self) -> Iterator[Row]:
        for record in self._live("deals"):
            of = record.values
            for gate, (opened, decided, result, required) in GATES.items():
                yield {
                    "opportunity": record.id, "gate": gate, "opened_on": _day(of.get(opened)), "decided_on": _day(of.get(decided)),
                    "result": result[1].get(of.get(result[0], "")), "required": required[1].get(of.get(required[0], "")),
                }  # fmt: skip

    def _contact_roles(self) -> Iterator[Row]:
        for record in self._live("deals"):
            for contact, labels in self._linked(record, "contacts").items():
                role = "; ".join(sorted(labels)) or None
                yield {"opportunity": record.id, "contact": contact, "id": contact, "role": role, "primary": None}

    def _activities(self) -> Iterator[Row]:
        for object, kind in ENGAGEMENTS.items():
            for record in self._live(object):
                yield self._activity(object, kind, record)

    def _activity(self, object: str, kind: str, record: Record) -> Row:
        of = {name: value for name, value in record.values.items() if value != ""}.get
        stamp = (of("hs_meeting_start_time") if kind == "meeting" else None) or of("hs_timestamp")
        day = _local(stamp) if stamp else None
        ended = of("hs_task_completion_date")
        done = _local(ended) if kind == "task" and ended and of("hs_task_status") == "COMPLETED" else None
        contacts = sorted(self._linked(record, "contacts"), key=int)
        subject = of(SUBJECTS[object]) or ""
        return {
            "id": f"{object}:{record.id}", "kind": kind,
            "topic": "legal" if "redlines" in subject else "security" if "questionnaire" in subject else "other",
            "direction": DIRECTIONS.get(of("hs_email_direction") or of("hs_call_direction") or ""), "owner": of("hubspot_owner_id"),
            "contact": contacts[0] if contacts else None, "account": self._account(record),
            "on": (done or day) if kind == "task" else day, "due_on": day if kind == "task" else None, "completed_on": done,
        }  # fmt: skip

    def _activity_deals(self) -> Iterator[Row]:
        for object in ENGAGEMENTS:
            for record in self._live(object):
                for deal in self._linked(record, "deals"):
                    yield {"id": f"{object}:{record.id}", "opportunity": deal}


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _local(text: str) -> date:
    return _instant(text).astimezone(ZONE).date()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _money(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


def _flag(text: str | None) -> bool | None:
    return None if text is None else text == "true"


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Tasks, events and engagements as activities: kind, topic, direction, outcome. Subjects are classified in memory and never kept.

Of the contacts of one activity the first is kept: WhoId on Salesforce, the lowest id on HubSpot. Every number that looks at contacts
counts an activity for one contact, on whatever CRM, and what is not counted is not read. So where an org has Shared Activities on, its
TaskRelation and EventRelation, which hold the others, are not asked for: WhoId is the primary one of them there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from connector.clock import Calendar
from connector.crms.base import Record
from connector.mapping import values
from connector.mapping.people import main_link, reference
from connector.mapping.schema import CrmMapping, Rule, Source
from connector.mapping.streams import SUBJECT
from connector.mapping.uses import MAIL, activity_objects
from connector.model.records import Activity, Mapped, Replace, Tombstone

OBJECT_OF = {"tasks": "Task", "events": "Event"}
KIND = {"calls": "call", "emails": "email", "meetings": "meeting", "tasks": "task"}
DRAFTS = frozenset({"5", "Draft"})  # EmailMessage.Status, by value or label
SUBTYPE_KIND = {"call": "call", "email": "email", "listemail": "email"}


class ActivityMapper:
    """``prefixes``: first three characters of a Salesforce id → opportunity or account. ``robots``: authors beside the mapping's own list."""

    def __init__(self, mapping: CrmMapping, calendar: Calendar, prefixes: Mapping[str, str], robots: frozenset[str]) -> None:
        self._mapping = mapping
        self._acts = mapping.activities
        self._calendar = calendar
        self._prefixes = prefixes
        self._ignored = frozenset(values.id18(author) for author in (*self._acts.ignore.created_by, *robots))

    def salesforce(self, stream: str, record: Record) -> Mapped:
        """A Task or Event. Series parents and the copies for invited users are not activities."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("activities", record.id),))
        alone = (Replace("activities", "id", record.id),)
        object = OBJECT_OF[stream]
        author = reference(record, "CreatedById")
        copies = record.values.get("IsChild"), record.values.get("IsRecurrence")
        if any(values.boolean(copy, "IsChild") for copy in copies) or self._is_ignored(object, record, author):
            return Mapped(replaces=alone)
        what = reference(record, "WhatId")
        target = self._prefixes.get(what[:3]) if what else None
        who = reference(record, "WhoId")
        kind, at, on, due, done = self._task(record) if object == "Task" else self._event(record)
        row = Activity(
            id=record.id, opportunity=what if target == "opportunity" else None, kind=kind,
            direction=self._told(object, record, self._acts.directions), topic=self._topic(object, record), at=at, on=on,
            owner=reference(record, "OwnerId"),
            contact=who if who and self._prefixes.get(who[:3]) == "contact" else None,
            account=reference(record, "AccountId") or (what if target == "account" else None),
            outcome=self._told(object, record, self._acts.outcomes, unlisted="unknown"), created_by=author, due_on=due, completed_on=done,
        )  # fmt: skip
        return Mapped(rows=(row,), replaces=alone)

    def mail(self, record: Record) -> Mapped:
        """An EmailMessage: when, which way, about which deal. A draft was never sent; the task beside it is its ``twin``."""
        if record.deleted:
            return Mapped(tombstones=(Tombstone("activities", record.id),))
        alone = (Replace("activities", "id", record.id),)
        author = reference(record, "CreatedById")
        if values.text(record.values.get("Status")) in DRAFTS or self._is_ignored(MAIL, record, author):
            return Mapped(replaces=alone)
        what = reference(record, "RelatedToId")
        target = self._prefixes.get(what[:3]) if what else None
        at = values.instant(record.values.get("MessageDate"), "MessageDate")
        incoming = values.boolean(record.values.get("Incoming"), "Incoming")
        row = Activity(
            id=record.id, opportunity=what if target == "opportunity" else None, kind="email",
            direction=None if incoming is None else "inbound" if incoming else "outbound", topic="other", at=at,
            on=None if at is None else self._calendar.day(at), account=what if target == "account" else None, created_by=author,
            twin=reference(record, "ActivityId"),
        )  # fmt: skip
        return Mapped(rows=(row,), replaces=alone)

    def _task(self, record: Record) -> tuple[str, datetime | None, date | None, date | None, date | None]:
        """(kind, at, on, due, completed). A call or mail that is still open is a plan, that is a task."""
        due = values.local_date(record.values.get("ActivityDate"), "ActivityDate", self._calendar)
        ended = values.instant(record.values.get("CompletedDateTime"), "CompletedDateTime")
        closed = values.boolean(record.values.get("IsClosed"), "IsClosed")
        if closed is None:
            closed = values.text(record.values.get("Status")) == "Completed"
        done = self._calendar.day(ended) if ended is not None and closed else None
        subtype = (values.text(record.values.get("TaskSubtype")) or "Task").casefold()
        kind = SUBTYPE_KIND.get(subtype, "task") if closed else "task"
        if kind == "task":
            return kind, None, done or due, due, done
        return kind, ended if due in (None, done) else None, due or done, None, None

    def _event(self, record: Record) -> tuple[str, datetime | None, date | None, date | None, date | None]:
        """All-day events keep their date: the stored midnight is UTC's and says nothing about the hour."""
        day = values.local_date(record.values.get("ActivityDate"), "ActivityDate", self._calendar)
        start = values.text(record.values.get("StartDateTime"))
        if values.boolean(record.values.get("IsAllDayEvent"), "IsAllDayEvent"):
            if day is None and start is not None:
                day = values.local_date(start[:10], "StartDateTime", self._calendar)
            return "meeting", None, day, None, None
        at = values.instant(start, "StartDateTime")
        return "meeting", at, self._calendar.day(at) if at else day, None, None

    def hubspot(self, stream: str, record: Record) -> Mapped:
        """One engagement: a row for every deal it is linked to, or one without a deal. Ids are unique within a type only, hence the prefix."""
        identity = f"{stream}:{record.id}"
        if record.deleted:
            return Mapped(tombstones=(Tombstone("activities", identity),))
        alone = (Replace("activities", "id", identity),)
        author = values.text(record.values.get("hs_created_by_user_id"))
        if self._is_ignored(stream, record, author):
            return Mapped(replaces=alone)
        start = record.values.get("hs_meeting_start_time") if stream == "meetings" else None
        stamp = start if not values.blank(start) else record.values.get("hs_timestamp")
        at = values.instant(stamp, "hs_timestamp")
        on = None if at is None else self._calendar.day(at)
        due = done = None
        if stream == "tasks":
            due, done = on, self._completed(record)
            at, on = None, done or due
        contacts = sorted({str(link.id) for link in record.links.get("contacts", ())}, key=lambda id: (len(id), id))
        deals: list[str | None] = list(dict.fromkeys(str(link.id) for link in record.links.get("deals", ())))
        topic = self._topic(stream, record)
        rows = tuple(
            Activity(
                id=identity, opportunity=deal, kind=KIND[stream], topic=topic, at=at, on=on,
                direction=self._told(stream, record, self._acts.directions),
                owner=values.text(record.values.get("hubspot_owner_id")), contact=contacts[0] if contacts else None,
                account=main_link(record.links.get("companies", ())), outcome=self._told(stream, record, self._acts.outcomes, unlisted="unknown"),
                created_by=author, due_on=due, completed_on=done,
            )
            for deal in deals or [None]
        )  # fmt: skip
        return Mapped(rows=rows, replaces=alone)

    def _completed(self, record: Record) -> date | None:
        if values.text(record.values.get("hs_task_status")) not in (None, "COMPLETED"):
            return None
        return values.local_date(record.values.get("hs_task_completion_date"), "hs_task_completion_date", self._calendar)

    # -- the mapping's rules -----------------------------------------------------------------------------------------

    def _told(self, object: str, record: Record, sources: tuple[Source, ...], unlisted: str | None = None) -> str | None:
        """The first answer among the sources of this object. ``unlisted``: what a value means that nobody listed."""
        for source in sources:
            raw = record.values.get(source.field) if source.parent == object else None
            if source.parent == object and (not values.blank(raw) or source.when_null is not None):
                return values.translated(raw, source) or unlisted
        return None

    def _is_ignored(self, object: str, record: Record, author: str | None) -> bool:
        if author is not None and author in self._ignored:
            return True
        when = self._acts.ignore.when
        return any(self._has(object, record, name, wanted, ()) for name, wanted in when.items())

    def _has(self, object: str, record: Record, name: str, wanted: tuple[str, ...], objects: tuple[str, ...]) -> bool:
        if object not in activity_objects(self._mapping, name, objects):
            return False
        held = values.text(record.values.get(name.rpartition(".")[2]))
        return held is not None and held.casefold() in {word.casefold() for word in wanted}

    def _topic(self, object: str, record: Record) -> str:
        """The first rule that matches, else ``other``."""
        subject = values.text(record.values.get(SUBJECT[object]))
        haystack = values.words(subject) if subject else ""
        return next((rule.topic for rule in self._acts.rules if self._matches(rule, object, record, haystack)), "other")

    def _matches(self, rule: Rule, object: str, record: Record, subject: str) -> bool:
        if rule.objects and object not in rule.objects:
            return False
        if not all(self._has(object, record, name, wanted, rule.objects) for name, wanted in rule.when.items()):
            return False
        return not rule.subject_any or any(values.holds(subject, phrase) for phrase in rule.subject_any)

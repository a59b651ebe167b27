"""The org, and what people do in it beside plain saving: series, invitations, shared and late work, emptying the bin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from connector.sandbox.salesforce.core import TIME_ZONE, Flow, RowError, Rule
from connector.sandbox.salesforce.derive import STANDARD_USER
from connector.sandbox.salesforce.rows import stamp, wire
from connector.sandbox.salesforce.setup import SetUp

__all__ = ["TIME_ZONE", "Flow", "Org", "RowError", "Rule"]


class Org(SetUp):
    """See :class:`connector.sandbox.salesforce.core.Core` for what is saved and how, ``SetUp`` for what administrators do."""

    # -- late and silent ---------------------------------------------------------------------------------------------

    def late_insert(self, name: str, values: Mapping[str, Any], *, stamped: datetime, visible: datetime, by: str | None = None) -> str:
        """A transaction that takes long: the record (its history with it) is stamped ``stamped`` and can be seen from ``visible`` on."""
        before = {kind: table.made for kind, table in self.tables.items()}
        key = self.insert(name, values, by=by, at=stamped)
        held = []
        for kind, table in self.tables.items():
            new = list(table.rows.values())[len(table.rows) - (table.made - before[kind]) :] if table.made > before[kind] else []
            for row in new:
                table.remove(row["Id"])
                held.append((table, row))

        def commit() -> None:
            for table, row in held:
                table.add(row)

        self.pending.append((visible, commit))
        return key

    def late_update(
        self, name: str, record_id: str, values: Mapping[str, Any], *, stamped: datetime, visible: datetime, by: str | None = None
    ) -> None:  # fmt: skip
        """A save that takes long: seen from ``visible`` on, with the older stamp ``stamped``."""
        self.pending.append((visible, lambda: self.update(name, record_id, values, by=by, at=stamped)))

    def set_silently(self, name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Change values and move no stamp: a mass recalculation of a roll-up, a back-fill."""
        table, definition = self.tables[name], self.schema[name]
        table.set(table.rows[record_id], {field: wire(definition.fields[field], value) for field, value in values.items()})

    # -- the end of records ------------------------------------------------------------------------------------------

    def empty_bin(self, older_than: timedelta = timedelta(0)) -> list[str]:
        """Purge what has lain in the recycle bin for at least so long. Returns the ids of what was deleted by itself."""
        latest = stamp(self.clock.now - older_than)
        gone = [key for key in list(self._bin) if self.deleted_at.get(key, latest) <= latest]
        for key in gone:
            self.purge(key)
        return gone

    def vanish(self, name: str, record_id: str) -> None:
        """A hard delete: the record and what hangs on it are gone at once, without a trace."""
        self.delete(name, record_id)
        if record_id in self._bin:
            self.purge(record_id)

    # -- activities --------------------------------------------------------------------------------------------------

    def repeat(self, name: str, values: Mapping[str, Any], days: Iterable[date], *, lightning: bool = False) -> tuple[str, list[str]]:
        """A recurring task or event: the series parent (no activity itself) and one record for each day.

        ``lightning``: the newer kind of event series, marked by IsRecurrence2 on every event and without a parent; its id is then the first's.
        """
        made = []
        marks = {"IsRecurrence2": True} if lightning else {}
        series = None if lightning else self.insert(name, {**values, "IsRecurrence": True})
        for day in days:
            on: dict[str, Any] = {"ActivityDate": day}
            if name == "Event":
                start = values.get("StartDateTime")
                at = start if isinstance(start, datetime) else self.clock.now
                on = {"StartDateTime": at.replace(year=day.year, month=day.month, day=day.day)}
            made.append(self.insert(name, {**values, **on, **marks, "RecurrenceActivityId": series}))
        return series or made[0], made

    def invite(self, event_id: str, users: Iterable[str]) -> list[str]:
        """Invite colleagues to an event: each gets a copy of it, marked IsChild. Returns the copies' ids."""
        event = self.tables["Event"].rows[event_id]
        self.update("Event", event_id, {"IsGroupEvent": True})
        own = {"Id", "OwnerId", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "EndDateTime", "EndDate"}
        copied = {key: value for key, value in event.items() if key not in own}
        return [self.insert("Event", {**copied, "OwnerId": user, "IsChild": True}) for user in users]

    def share(self, activity_id: str, contacts: Iterable[str]) -> list[str]:
        """Shared Activities: more contacts on a task or event, as rows of its relation object. Returns their ids."""
        kind = self.prefixes[activity_id[:3]]
        invitee = {"IsInvitee": True, "Status": "New"} if kind == "Event" else {}
        return [
            self.insert(f"{kind}Relation", {
                f"{kind}Id": activity_id, "RelationId": contact, "AccountId": (self.find(contact) or {}).get("AccountId"), **invitee,
            })
            for contact in contacts
        ]  # fmt: skip

    # -- leads and mail ----------------------------------------------------------------------------------------------

    def convert_lead(self, lead_id: str, *, opportunity: Mapping[str, Any] | None = None) -> tuple[str, str, str | None]:
        """A lead becomes an account, a contact and, with values for one, a deal. Returns their ids."""
        lead = self.tables["Lead"].rows[lead_id]
        account = self.insert("Account", {"Name": lead["Company"], "OwnerId": lead["OwnerId"]})
        person = {"FirstName": lead.get("FirstName"), "LastName": lead["LastName"], "Email": lead.get("Email"), "Title": lead.get("Title")}
        contact = self.insert("Contact", {**person, "AccountId": account, "OwnerId": lead["OwnerId"]})
        deal = None if opportunity is None else self.insert("Opportunity", {"AccountId": account, "OwnerId": lead["OwnerId"], **opportunity})
        self.update("Lead", lead_id, {
            "IsConverted": True, "ConvertedDate": self.local_day(self.clock.now), "ConvertedAccountId": account, "ConvertedContactId": contact,
            "ConvertedOpportunityId": deal, "Status": "Closed - Converted",
        })  # fmt: skip
        return account, contact, deal

    # -- logins and sessions -------------------------------------------------------------------------------------------

    def login(self, name: str) -> str | None:
        """The user behind an id, a user name (or what is before its @), or one of ``admin``, ``integration``, ``rep``: the first rep who is
        active. None where there is no such user."""
        users = self.tables["User"].rows
        if name in users:
            return name
        if name in ("admin", "integration"):
            return self.admin if name == "admin" else self.api_user
        if name == "rep":
            reps = self.profiles[STANDARD_USER]
            people = (key for key, row in users.items() if row.get("ProfileId") == reps and row["IsActive"])
            return next((key for key in people if users[key].get("UserType") != "AutomatedProcess"), None)
        wanted = name.lower()
        return next((key for key, row in users.items() if wanted in (row["Username"].lower(), row["Username"].lower().split("@")[0])), None)

    def expire_sessions(self, after_calls: int = 0) -> None:
        """End every session, now or after so many more calls: its next call is a 401, its query locators are gone."""
        self.sessions.expire(after_calls)

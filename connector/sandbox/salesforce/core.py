"""The org's records: saves with their stamps and history, the recycle bin, merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce import deal_objects, more_objects, other_objects, permission_objects
from connector.sandbox.salesforce.derive import ON_SAVE, after_save, roll_up
from connector.sandbox.salesforce.grants import Grants, granted
from connector.sandbox.salesforce.ids import new_id
from connector.sandbox.salesforce.jobs import Bulk
from connector.sandbox.salesforce.permission_objects import ACCESS
from connector.sandbox.salesforce.rows import Table, stamp, wire
from connector.sandbox.salesforce.schema import Child, FieldDef, Moment, ObjectDef, Pick, Row
from connector.sandbox.salesforce.seed import seed
from connector.sandbox.salesforce.sessions import Sessions
from connector.sandbox.salesforce.stages import CATEGORY_LABELS
from connector.sandbox.salesforce.views import Views, with_fields

TIME_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one record is refused, in the words of the API: ``statusCode``, message, field names."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


Rule = Callable[[str, Mapping[str, Any], Mapping[str, Any], str], RowError | None]
"""A validation rule: object, the record as it is, the values to be written, the user's id → an error or None."""

Flow = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any] | None]
"""A record-triggered flow: the record after the save, the old values of what changed → more values to save, or None."""


def _numbered(field: FieldDef, number: int) -> str:
    """The next of a number that counts by itself: as many digits as the form has zeros."""
    head, _, rest = field.auto.partition("{")
    digits, _, tail = rest.partition("}")
    return f"{head}{number:0{len(digits)}d}{tail}" if digits else ""


def _objects(bare: bool) -> list[ObjectDef]:
    found = [*deal_objects.OBJECTS, *other_objects.OBJECTS, *more_objects.OBJECTS, *permission_objects.OBJECTS]
    return [with_fields(d, lambda field: None if field.guarded else field) for d in found] if bare else found


class Core:
    """One org. Rows are dicts of field → wire value without the null fields.

    ``rules``: validation rules of API writes; ``flows``: what runs after a save; ``certificates``: consumer key → public key (PEM)
    that a JWT must be signed for, none: signatures are not looked at; ``tracked``: fields of Opportunity with field
    history; ``locked``: ids of records that another process holds; ``uneditable``: ids that the
    connection's user may only read; ``page_size``: the most rows a query page has; ``calls_used``: what the limit header counts;
    ``most_fields``: custom fields that an object may have, as in an Enterprise org;
    ``run_as``: consumer key → the user that its client credentials run as, any other key: the connection's user;
    ``layouts``: record type → the fields on its page, any other: all that are not of the scorecard;
    ``metadata``: (type, full name) of a deployed component that is no record → its id; ``report_columns``: custom report type → columns;
    ``profiles``: name → id; ``owned_sets``: profile's id → the permission set that stands for it;
    ``keys``: (kind, key of the business) → record id; ``pipelines``: deal of the business → its pipeline; ``renamed``: a seeded stage
    name → what it is called now; ``token_now``: the clock by which a JWT's ``exp`` is judged, None: not judged, because the sandbox's
    own clock stands still.
    """

    def __init__(self, clock: VirtualClock, *, bare: bool = False) -> None:
        """``bare``: an org that nobody has provisioned: without a scorecard field and without permission sets for them."""
        self.clock = clock
        self.bare = bare
        self.reset()

    def reset(self) -> None:
        """Back to an org that has been set up and holds no business yet. Sessions end."""
        self.schema: dict[str, ObjectDef] = {d.name: d for d in _objects(self.bare)}
        self.tables: dict[str, Table] = {name: Table(definition) for name, definition in self.schema.items()}
        self.prefixes = {definition.prefix: name for name, definition in self.schema.items()}
        self.schema_changed: dict[str, datetime] = {name: self.clock.now.replace(microsecond=0) for name in self.schema}
        self.stages: dict[str, Row] = {}
        self.category_of = {label: value for value, label in CATEGORY_LABELS.items()}
        self.record_types: dict[str, str] = {}
        self.offered: dict[str, list[str]] = {}
        self.granted: dict[tuple[str, str], frozenset[str]] = {}  # (record type id, field) → options of a picklist that it grants
        self.renamed: dict[str, str] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.pipelines: dict[str, str] = {}
        self.rules: list[Rule] = []
        self._rules: dict[str, Rule] = {}
        self.flows: list[tuple[str, Flow]] = []
        self.tracked: set[str] = {"OwnerId"}
        self.locked: set[str] = set()
        self.deleted_at: dict[str, str] = {}
        self.page_size = 2000
        self.calls_used = 0
        self.calls_max = 100_000
        self.most_fields = 500
        self.token_now: Callable[[], datetime] | None = None
        self.certificates: dict[str, bytes] = {}
        self.uneditable: set[str] = set()
        self.bulk = Bulk()
        self.views = Views(lambda user: granted(self, user))
        self.layouts: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self.metadata: dict[tuple[str, str], str] = {}
        self.deployments: dict[str, Any] = {}
        self.report_columns: dict[str, frozenset[str]] = {}
        self.profiles: dict[str, str] = {}
        self.owned_sets: dict[str, str] = {}
        self.pending: list[tuple[datetime, Callable[[], None]]] = []
        self._locators_made = 0
        self._bin: dict[str, list[tuple[str, str]]] = {}
        self._cleared: dict[str, list[tuple[str, str, str, str]]] = {}  # deleted record → lookups that pointed to it
        self._in_flow = False
        self._gone: dict[tuple[str, str], FieldDef] = {}
        people = seed(self)
        self.org_id, self.admin, self.api_user = people.org, people.admin, people.api_user
        self.sessions = Sessions(self.org_id, self.api_user)
        self.run_as = {"provisioner": self.admin}

    # -- looking -----------------------------------------------------------------------------------------------------

    def find(self, record_id: str) -> Row | None:
        """A record by its 18-character id, deleted ones included."""
        table = self.tables.get(self.prefixes.get(record_id[:3], ""))
        return None if table is None else table.rows.get(record_id)

    def seen(self, name: str, user: str = "") -> ObjectDef | None:
        """An object as a user sees it (``""``: all of it), None where there is none or it is hidden from them."""
        definition = self.schema.get(name)
        return None if definition is None else self.views.of(definition, user)

    def settle(self) -> None:
        """Commit what was waiting for an instant that has come."""
        due = [commit for at, commit in self.pending if at <= self.clock.now]
        self.pending = [(at, commit) for at, commit in self.pending if at > self.clock.now]
        for commit in due:
            commit()

    def grants(self, user: str) -> Grants:
        """What a user's profile and permission sets allow."""
        return self.views.grants(user)

    def moment(self, user: str = "") -> Moment:
        """What computed fields are computed at, in the time zone of whoever asks."""
        zone = ZoneInfo(str((self.find(user) or {}).get("TimeZoneSidKey") or TIME_ZONE))
        return Moment(self.clock.now, self.clock.now.astimezone(zone).date().isoformat(), user, zone)

    def local_day(self, at: datetime) -> str:
        """The org's local date of an instant, as wire text."""
        return at.astimezone(ZoneInfo(TIME_ZONE)).date().isoformat()

    # -- saving ------------------------------------------------------------------------------------------------------

    def insert(self, name: str, values: Mapping[str, Any], *, by: str | None = None, at: datetime | None = None) -> str:
        """Make a record and return its id. Values may be Python or wire values; audit fields given are kept, as in a data load.

        ``by``: user id, default the administrator; ``at``: stamps other than the clock's. Raises ValueError on a name the org does not have.
        """
        definition, at_text, by = self.schema[name], self._at(at), by or self.admin
        table = self.tables[name]
        table.made += 1
        row: Row = {f.name: f.default for f in definition.fields.values() if f.default is not None and f.compute is None}
        given = self._wired(definition, values)
        if "CurrencyIsoCode" in definition.fields:
            given.setdefault("CurrencyIsoCode", "USD")
        if "OwnerId" in definition.fields:
            given.setdefault("OwnerId", by)
        derive = ON_SAVE.get(name)
        if derive is not None:
            derive(self, row, given, at_text)
        row |= {k: v for k, v in given.items() if v is not None}
        row["Id"] = new_id(definition.prefix, table.made)
        if definition.guarded:
            row.setdefault("Name", _numbered(definition.fields["Name"], table.made) or row["Id"])
        for field, value in (("CreatedDate", at_text), ("CreatedById", by), ("LastModifiedDate", at_text), ("LastModifiedById", by)):
            if field in definition.fields:
                row.setdefault(field, value)
        if "SystemModstamp" in definition.fields:
            row["SystemModstamp"] = at_text
        table.add(row)
        after_save(self, name, row, {}, at_text, row.get("CreatedById", by))
        self._access_changed(name)
        return str(row["Id"])

    def append(self, name: str, values: Row, at: str, by: str) -> str:
        """Make a row of a history object: stamped ``at`` (wire text), never changed again."""
        definition, table = self.schema[name], self.tables[name]
        table.made += 1
        row = {k: v for k, v in values.items() if v is not None}
        row |= {"Id": new_id(definition.prefix, table.made), "CreatedDate": at, "CreatedById": by, "IsDeleted": False}
        if "SystemModstamp" in definition.fields:
            row["SystemModstamp"] = at
        table.add(row)
        return str(row["Id"])

    def update(self, name: str, record_id: str, values: Mapping[str, Any], *, by: str | None = None, at: datetime | None = None) -> None:
        """Save values into a record: its stamps move even where nothing differs, history follows. Raises KeyError for an unknown id."""
        definition, at_text, by = self.schema[name], self._at(at), by or self.admin
        row = self.tables[name].rows[record_id]
        given = self._wired(definition, values)
        derive = ON_SAVE.get(name)
        if derive is not None:
            derive(self, row, given, at_text)
        before = {k: row.get(k) for k, v in given.items() if row.get(k) != v}
        self.tables[name].set(row, given)
        self._touch(definition, row, at_text, by)
        self._access_changed(name)
        if before:
            after_save(self, name, row, before, at_text, by)
            self._run_flows(name, row, before, by, at)

    def _run_flows(self, name: str, row: Row, before: Row, by: str, at: datetime | None) -> None:
        """Flows run as the user who saved; a flow's own save starts no other."""
        if self._in_flow:
            return
        self._in_flow = True
        try:
            for kind, flow in self.flows:
                more = flow(row, before) if kind == name else None
                if more:
                    self.update(name, row["Id"], more, by=by, at=at)
        finally:
            self._in_flow = False

    # -- deleting ----------------------------------------------------------------------------------------------------

    def delete(self, name: str, record_id: str, *, by: str | None = None) -> None:
        """Into the recycle bin, with the children that go along. A role that is deleted by itself leaves no trace."""
        row = self.tables[name].rows[record_id]
        if not self.schema[name].undeletable:
            self.tables[name].remove(record_id)
            self._access_changed(name)
            return
        at, by = self._at(None), by or self.admin
        gone = [(name, record_id)]
        gone += [(child.object, key) for child, key in self._children(name, record_id) if child.cascade]
        gone = [(kind, key) for kind, key in gone if not self.tables[kind].rows[key].get("IsDeleted")]
        self._mark(gone, True, at, by)
        self._bin[record_id] = gone
        self._cleared[record_id] = self._clear(gone, at)
        if name == "OpportunityLineItem":
            roll_up(self, row["OpportunityId"], at, by)

    def undelete(self, name: str, record_id: str, *, by: str | None = None) -> None:
        """Out of the recycle bin again, with what went along; lookups that were emptied point to it again, unless they have another parent now.
        Raises KeyError if it is not there."""
        at = self._at(None)
        self._mark(self._bin.pop(record_id), False, at, by or self.admin)
        for kind, key, field, parent in self._cleared.pop(record_id, ()):
            row = self.tables[kind].rows.get(key)
            if row is not None and field not in row:
                self._point(kind, row, field, parent, at)

    def merge(self, name: str, loser: str, winner: str, *, by: str | None = None) -> None:
        """Fold one account or contact into another: children move over, the loser goes to the bin and names its master."""
        at, by = self._at(None), by or self.admin
        for child, key in list(self._children(name, loser)):
            table = self.tables[child.object]
            table.set(table.rows[key], {child.field: winner})
            self._touch(table.definition, table.rows[key], at, by)
        self.tables[name].rows[loser]["MasterRecordId"] = winner
        self._mark([(name, loser)], True, at, by)
        self._bin[loser] = [(name, loser)]
        self._touch(self.schema[name], self.tables[name].rows[winner], at, by)

    def purge(self, record_id: str) -> None:
        """Out of the recycle bin for good: the row and what went along vanish. Raises KeyError if it is not there."""
        for kind, key in self._bin.pop(record_id):
            self.tables[kind].remove(key)
            self.deleted_at.pop(key, None)
        self._cleared.pop(record_id, None)

    def next_locator(self) -> int:
        """A new number for a query cursor."""
        self._locators_made += 1
        return self._locators_made

    # -- inside ------------------------------------------------------------------------------------------------------

    def _access_changed(self, name: str) -> None:
        """After a change of who may do what, everybody's schema is a new one."""
        if name in ACCESS:
            self.views.forget()
            for kind, definition in self.schema.items():
                if definition.guarded or any(field.guarded for field in definition.fields.values()):
                    self._changed(kind)

    def _at(self, at: datetime | None) -> str:
        return stamp(at or self.clock.now)

    def _wired(self, definition: ObjectDef, values: Mapping[str, Any]) -> Row:
        unknown = [name for name in values if name not in definition.fields]
        if unknown:
            raise ValueError(f"{definition.name} has no field {', '.join(unknown)}")
        return {name: wire(definition.fields[name], value) for name, value in values.items()}

    def _touch(self, definition: ObjectDef, row: Row, at: str, by: str) -> None:
        if "SystemModstamp" in definition.fields:
            row["SystemModstamp"] = at
        if "LastModifiedDate" in definition.fields:
            row["LastModifiedDate"], row["LastModifiedById"] = at, by

    def _mark(self, records: list[tuple[str, str]], deleted: bool, at: str, by: str) -> None:
        for kind, key in records:
            row = self.tables[kind].rows[key]
            row["IsDeleted"] = deleted
            self._touch(self.schema[kind], row, at, by)
            if deleted:
                self.deleted_at[key] = at
            else:
                self.deleted_at.pop(key, None)

    def _clear(self, gone: list[tuple[str, str]], at: str) -> list[tuple[str, str, str, str]]:
        """Empty the lookups to records that were deleted: (object, id, field, what it held) of each. The platform does it, so no rule and no flow
        runs and nobody has modified the child; its system stamp moves (unverified)."""
        cleared = []
        for name, parent in gone:
            for child, key in self._children(name, parent):
                row = self.tables[child.object].rows[key]
                if child.clears and not row.get("IsDeleted"):
                    self._point(child.object, row, child.field, None, at)
                    cleared.append((child.object, key, child.field, parent))
        return cleared

    def _point(self, name: str, row: Row, field: str, parent: str | None, at: str) -> None:
        self.tables[name].set(row, {field: parent})
        row["SystemModstamp"] = at

    def _children(self, name: str, record_id: str) -> list[tuple[Child, str]]:
        return [
            (child, key)
            for child in self.schema[name].children
            for key in self.tables[child.object].ids_with(child.field, (record_id,))
        ]  # fmt: skip

    # -- the schema -------------------------------------------------------------------------------------------------------

    def stages_changed(self) -> None:
        """Let StageName's options follow OpportunityStage."""
        options = tuple(Pick(row["ApiName"], row["IsActive"], row["MasterLabel"]) for row in self.stages.values())
        for name in ("Opportunity", "OpportunityHistory"):
            self._replace_options(name, "StageName", options)

    def _replace_options(self, name: str, field: str, options: tuple[Pick, ...]) -> None:
        definition = self.schema[name]
        changed = replace(definition.fields[field], options=options)
        fields = {**definition.fields, field: changed}
        self._redefine(replace(definition, fields=fields, lowered={**definition.lowered, field.lower(): changed}))

    def _redefine(self, definition: ObjectDef) -> None:
        self.schema[definition.name] = self.tables[definition.name].definition = definition
        self._changed(definition.name)

    def _changed(self, name: str) -> None:
        self.schema_changed[name] = self.clock.now.replace(microsecond=0)

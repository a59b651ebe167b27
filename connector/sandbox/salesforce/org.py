"""The org itself: records, saves with their stamps and history, the recycle bin, merges, the schema's own changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.clock import VirtualClock
from connector.sandbox.salesforce import deal_objects, other_objects
from connector.sandbox.salesforce.derive import ON_SAVE, after_save
from connector.sandbox.salesforce.ids import new_id
from connector.sandbox.salesforce.rows import Table, stamp, wire
from connector.sandbox.salesforce.schema import Child, Moment, ObjectDef, Pick, Row
from connector.sandbox.salesforce.seed import seed
from connector.sandbox.salesforce.sessions import Sessions
from connector.sandbox.salesforce.stages import CATEGORY_LABELS

TIME_ZONE = "America/New_York"


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one record is refused, in the words of the API: ``statusCode``, message, field names."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


Rule = Callable[[str, Mapping[str, Any], Mapping[str, Any], str], RowError | None]
"""A validation rule: object, the record as it is, the values to be written, the user's id → an error or None."""


class Org:
    """One org. Rows are dicts of field → wire value without the null fields.

    ``rules``: validation rules of API writes; ``locked``: ids of records that another process holds; ``uneditable``: ids that the
    connection's user may only read; ``page_size``: the most rows a query page has; ``calls_used``: what the limit header counts;
    ``keys``: (kind, key of the business) → record id; ``pipelines``: deal of the business → its pipeline; ``renamed``: a seeded stage
    name → what it is called now; ``token_now``: the clock by which a JWT's ``exp`` is judged, None: not judged, because the sandbox's
    own clock stands still.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.reset()

    def reset(self) -> None:
        """Back to an org that has been set up and holds no business yet. Sessions end."""
        self.schema: dict[str, ObjectDef] = {d.name: d for d in (*deal_objects.OBJECTS, *other_objects.OBJECTS)}
        self.tables: dict[str, Table] = {name: Table(definition) for name, definition in self.schema.items()}
        self.prefixes = {definition.prefix: name for name, definition in self.schema.items()}
        self.schema_changed: dict[str, datetime] = {name: self.clock.now.replace(microsecond=0) for name in self.schema}
        self.stages: dict[str, Row] = {}
        self.category_of = {label: value for value, label in CATEGORY_LABELS.items()}
        self.record_types: dict[str, str] = {}
        self.offered: dict[str, list[str]] = {}
        self.renamed: dict[str, str] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.pipelines: dict[str, str] = {}
        self.rules: list[Rule] = []
        self.locked: set[str] = set()
        self.deleted_at: dict[str, str] = {}
        self.page_size = 2000
        self.calls_used = 0
        self.calls_max = 100_000
        self.token_now: Callable[[], datetime] | None = None
        self.uneditable: set[str] = set()
        self._locators_made = 0
        self._bin: dict[str, list[tuple[str, str]]] = {}
        people = seed(self)
        self.org_id, self.admin, self.api_user = people.org, people.admin, people.api_user
        self.sessions = Sessions(self.org_id, self.api_user)

    # -- looking -----------------------------------------------------------------------------------------------------

    def find(self, record_id: str) -> Row | None:
        """A record by its 18-character id, deleted ones included."""
        table = self.tables.get(self.prefixes.get(record_id[:3], ""))
        return None if table is None else table.rows.get(record_id)

    def moment(self) -> Moment:
        """What computed fields are computed at."""
        return Moment(self.clock.now, self.local_day(self.clock.now))

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
        for field, value in (("CreatedDate", at_text), ("CreatedById", by), ("LastModifiedDate", at_text), ("LastModifiedById", by)):
            if field in definition.fields:
                row.setdefault(field, value)
        if "SystemModstamp" in definition.fields:
            row["SystemModstamp"] = at_text
        table.add(row)
        after_save(self, name, row, {}, at_text, row.get("CreatedById", by))
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
        if before:
            after_save(self, name, row, before, at_text, by)

    # -- deleting ----------------------------------------------------------------------------------------------------

    def delete(self, name: str, record_id: str, *, by: str | None = None) -> None:
        """Into the recycle bin, with the children that go along. A role that is deleted by itself leaves no trace."""
        if not self.schema[name].undeletable:
            self.tables[name].remove(record_id)
            return
        at, by = self._at(None), by or self.admin
        gone = [(name, record_id)]
        gone += [(child.object, key) for child, key in self._children(name, record_id) if child.cascade]
        gone = [(kind, key) for kind, key in gone if not self.tables[kind].rows[key].get("IsDeleted")]
        self._mark(gone, True, at, by)
        self._bin[record_id] = gone

    def undelete(self, name: str, record_id: str, *, by: str | None = None) -> None:
        """Out of the recycle bin again, with what went along. Raises KeyError if it is not there."""
        self._mark(self._bin.pop(record_id), False, self._at(None), by or self.admin)

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

    # -- set-up ------------------------------------------------------------------------------------------------------

    def add_option(self, name: str, field: str, value: str) -> None:
        """Offer one more option of a picklist, if it is new."""
        found = self.schema[name].fields[field]
        if all(option.value != value for option in found.options):
            self._replace_options(name, field, (*found.options, Pick(value)))

    def rename_stage(self, old: str, new: str) -> None:
        """The list's value is called something else from now on. Records and history keep the text they hold; the old
        value stays in OpportunityStage, inactive."""
        stage = self.stages[old]
        self.renamed = {first: new if last == old else last for first, last in self.renamed.items()}
        self.renamed.setdefault(old, new)
        copy = {k: v for k, v in stage.items() if k not in ("Id", "CreatedDate", "SystemModstamp", "LastModifiedDate")}
        self.update("OpportunityStage", stage["Id"], {"ApiName": new, "MasterLabel": new})
        retired = self.insert("OpportunityStage", {**copy, "IsActive": False, "SortOrder": len(self.stages) + 1})
        self.stages = {new if name == old else name: row for name, row in self.stages.items()}
        self.stages[old] = self.tables["OpportunityStage"].rows[retired]
        for names in self.offered.values():
            names[:] = [new if name == old else name for name in names]
        self.stages_changed()

    def add_stage(self, name: str, probability: float, *, pipelines: Collection[str] = (), closed: bool = False, won: bool = False) -> None:
        """A new value of StageName, offered by the record types named (developer names). ``probability`` 0–100."""
        category = "Closed" if won else "Omitted" if closed else "Pipeline"
        made = self.insert("OpportunityStage", {
            "MasterLabel": name, "ApiName": name, "IsActive": True, "SortOrder": len(self.stages) + 1, "IsClosed": closed, "IsWon": won,
            "ForecastCategory": category, "ForecastCategoryName": CATEGORY_LABELS[category], "DefaultProbability": probability,
        })  # fmt: skip
        self.stages[name] = self.tables["OpportunityStage"].rows[made]
        for pipeline in pipelines:
            self.offered[self.record_types[pipeline]].append(name)
        self.stages_changed()

    def hide_field(self, name: str, field: str) -> None:
        """Take a field away: deleted, or out of sight for the connection's user; the API makes no difference."""
        definition = self.schema[name]
        gone = definition.fields[field]
        self._redefine(
            replace(
                definition,
                fields={k: f for k, f in definition.fields.items() if f is not gone},
                lowered={k: f for k, f in definition.lowered.items() if f is not gone},
                relationships={k: f for k, f in definition.relationships.items() if f is not gone},
            )
        )

    def stages_changed(self) -> None:
        """Let StageName's options follow OpportunityStage."""
        options = tuple(Pick(row["ApiName"], row["IsActive"], row["MasterLabel"]) for row in self.stages.values())
        for name in ("Opportunity", "OpportunityHistory"):
            self._replace_options(name, "StageName", options)

    def expire_sessions(self) -> None:
        """End every session: its next call is a 401, its query locators are gone."""
        self.sessions.expire()

    def next_locator(self) -> int:
        """A new number for a query cursor."""
        self._locators_made += 1
        return self._locators_made

    # -- inside ------------------------------------------------------------------------------------------------------

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

    def _children(self, name: str, record_id: str) -> list[tuple[Child, str]]:
        return [
            (child, key)
            for child in self.schema[name].children
            for key in self.tables[child.object].ids_with(child.field, (record_id,))
        ]  # fmt: skip

    def _replace_options(self, name: str, field: str, options: tuple[Pick, ...]) -> None:
        definition = self.schema[name]
        changed = replace(definition.fields[field], options=options)
        fields = {**definition.fields, field: changed}
        self._redefine(replace(definition, fields=fields, lowered={**definition.lowered, field.lower(): changed}))

    def _redefine(self, definition: ObjectDef) -> None:
        self.schema[definition.name] = self.tables[definition.name].definition = definition
        self.schema_changed[definition.name] = self.clock.now.replace(microsecond=0)

"""The portal: its records, schema, owners and money. Everything that changes a record goes through here, so that stamps and history stay right.

Not safe for threads: the API runs on one event loop, and tests touch a portal only between requests.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count

from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot import deals, pipelines, schema
from connector.sandbox.hubspot.associations import Associations
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.hubspot.pipelines import Pipeline, Stage
from connector.sandbox.hubspot.records import ADMIN, CALCULATED, MERGE, Record, Source, millis, stamp
from connector.sandbox.hubspot.schema import ObjectType, Property
from connector.sandbox.hubspot.values import Problem, Refused, kept, same

TIMERS = {"date_entered": "datetime", "date_exited": "datetime", "latest_time_in": "number", "cumulative_time_in": "number"}
"""What HubSpot measures for each stage, and the property type."""

Rule = Callable[[Record, Mapping[str, str]], Problem | None]
"""A rule of the portal's admin: sees the record and the values about to be set, and refuses with a problem or lets pass."""


@dataclass
class Owner:
    """``id`` stands in ``hubspot_owner_id``, ``user_id`` in history: two different numbers. ``created``, ``updated``: ms."""

    number: int
    user_id: int
    first: str
    last: str
    email: str
    created: int
    updated: int
    archived: bool = False

    @property
    def id(self) -> str:
        return str(self.number)

    def wire(self) -> dict[str, object]:
        """As the owners API shows it; an archived one has lost ``userId``."""
        shown: dict[str, object] = {
            "id": self.id, "email": self.email, "type": "PERSON", "firstName": self.first, "lastName": self.last,
            "userId": None if self.archived else self.user_id, "userIdIncludingInactive": self.user_id,
            "createdAt": stamp(self.created), "updatedAt": stamp(self.updated), "archived": self.archived,
        }  # fmt: skip
        if not self.archived:
            shown["teams"] = [{"id": "7001", "name": "Sales", "primary": True}]
        return shown


class Portal:
    """One HubSpot account.

    Switches for tests and faults: ``index_lag`` (seconds of virtual time by which the search index trails), ``ids_as_text``
    (search compares record ids as text), ``limits_on``, ``denied_scopes``, ``rules`` (see :data:`Rule`), ``rules_2026_09`` (enforced under
    that version only), ``lost_effects`` (a write answers 200 and does nothing where one of these says so), ``workflows`` (run after
    an API write with the record and the names that changed), ``association_page`` (links a page), ``restore_moves_stamp``.
    """

    portal_id = 24680135
    time_zone = "US/Eastern"
    currency = "USD"

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.properties: dict[str, dict[str, Property]] = schema.properties()
        self.pipelines: list[Pipeline] = pipelines.seeded()
        self.records: dict[str, dict[int, Record]] = {name: {} for name in schema.TYPES}
        self.live: dict[str, list[int]] = {name: [] for name in schema.TYPES}
        self.index: dict[str, list[tuple[int, int]]] = {name: [] for name in schema.TYPES}
        self.aliases: dict[str, dict[int, int]] = {name: {} for name in schema.TYPES}
        self.next_id: dict[str, int] = {name: kind.first_id for name, kind in schema.TYPES.items()}
        self.owners: dict[str, Owner] = {}
        self.associations = Associations()
        self.rates: dict[str, Decimal] = {"USD": Decimal(1), "EUR": Decimal("1.1")}
        self.tokens: dict[str, int] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.limits = Limits(self.time_zone)
        self.correlations = count(1)
        self.index_lag = 0.0
        self.ids_as_text = False
        self.limits_on = True
        self.denied_scopes: set[str] = set()
        self.rules: list[Rule] = []
        self.rules_2026_09: list[Rule] = []
        self.lost_effects: list[Callable[[Record, Mapping[str, str]], bool]] = []
        self.workflows: list[Callable[[Record, frozenset[str]], None]] = []
        self.association_page = 100
        self.restore_moves_stamp = False
        self._add_timers()

    @property
    def now(self) -> int:
        """The virtual instant in epoch milliseconds."""
        return millis(self.clock.now)

    # -- schema ------------------------------------------------------------------------------------------------------

    def _add_timers(self) -> None:
        for pipeline in self.pipelines:
            for stage in (stage for stage in pipeline.stages if not stage.deleted):
                for what, kind in TIMERS.items():
                    name = pipeline.timer(stage, what)
                    label = f'{what.replace("_", " ").capitalize()} "{stage.label} ({pipeline.label})"'
                    self.properties["deals"][name] = Property(name, label, kind, "calculation_read_time", "deal_stages", read_only=True)

    def add_property(self, kind: str, prop: Property) -> None:
        """An admin adds a property, or changes one of that name."""
        self.properties[kind][prop.name] = prop

    def add_option(self, kind: str, name: str, value: str, label: str | None = None) -> None:
        """An admin adds an option to an enumeration; an option that is there stays as it is."""
        prop = self.properties[kind][name]
        if value not in (known for known, _ in prop.options):
            self.properties[kind][name] = replace(prop, options=(*prop.options, (value, label or value)))

    def stage(self, id_: str) -> tuple[Pipeline, Stage] | None:
        """The stage of that id, deleted ones included, with its pipeline."""
        return next(((pipeline, stage) for pipeline in self.pipelines for stage in pipeline.stages if stage.id == id_), None)

    def neutral_stage(self, pipeline: str, stage: str) -> tuple[Pipeline, Stage]:
        """The stage that a neutral pipeline and stage key mean. Raises KeyError."""
        for known in self.pipelines:
            for candidate in known.stages:
                if (known.neutral, candidate.neutral) == (pipeline, stage):
                    return known, candidate
        raise KeyError(f"no stage {stage!r} in pipeline {pipeline!r}")

    def rename_stage(self, id_: str, label: str) -> None:
        """An admin changes a label; the id stays."""
        found = self.stage(id_)
        if found is None:
            raise KeyError(id_)
        pipeline, stage = found
        stage.label = label
        stage.updated = pipeline.updated = stamp(self.now)

    def delete_stage(self, id_: str) -> None:
        """An admin deletes a stage: it goes from the pipeline and stays in history."""
        found = self.stage(id_)
        if found is None:
            raise KeyError(id_)
        pipeline, stage = found
        for what in TIMERS:
            self.properties["deals"].pop(pipeline.timer(stage, what), None)
        stage.deleted = True
        pipeline.updated = stamp(self.now)

    def set_rate(self, currency: str, rate: Decimal) -> None:
        """A new exchange rate: open deals follow it at once, and their modified date does not move."""
        self.rates[currency] = rate
        for record in self.records["deals"].values():
            self._calculate(record, self._amounts(record.values))

    # -- owners ------------------------------------------------------------------------------------------------------

    def add_owner(self, first: str, last: str, email: str, *, active: bool = True) -> Owner:
        n = len(self.owners) + 1
        owner = Owner(51_000_000 + n, 1_000_001 + n, first, last, email, self.now, self.now, archived=not active)
        self.owners[owner.id] = owner
        return owner

    def archive_owner(self, id_: str) -> None:
        """The user leaves the portal; the records keep the owner's id."""
        owner = self.owners[id_]
        owner.archived, owner.updated = True, self.now

    # -- reading -----------------------------------------------------------------------------------------------------

    def resolve(self, kind: str, id_: str) -> Record | None:
        """The record that an id means today: a merged loser's id means the survivor. Archived ones are found too."""
        number = int(id_) if id_.isascii() and id_.isdigit() else -1
        while number in self.aliases[kind]:
            number = self.aliases[kind][number]
        return self.records[kind].get(number)

    def linked(self, kind: str, number: int, to: str) -> dict[int, list[dict[str, object]]]:
        """Live linked id → its association types in wire form, by id. Empty for a loser's id and for archived records."""
        record = self.records[kind].get(number)
        if record is None or record.archived_at is not None:
            return {}
        held = self.associations.of(kind, number, to)
        there = self.records[to]
        return {other: [label.wire() for label in held[other]] for other in sorted(held) if other in there and there[other].archived_at is None}

    # -- changing ----------------------------------------------------------------------------------------------------

    def check(self, kind: ObjectType, record: Record | None, given: Mapping[str, object]) -> tuple[dict[str, str], list[Problem]]:
        """The values as they would be kept, and what HubSpot objects to."""
        wanted: dict[str, str] = {}
        problems: list[Problem] = []
        for name, raw in given.items():
            prop = self.properties[kind.name].get(name)
            if prop is None:
                problems.append(Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif prop.read_only or prop.calculated:
                problems.append(Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.'))
            else:
                try:
                    wanted[name] = kept(prop, raw, self.portal_id, kind.type_id)
                except Refused as refused:
                    problems.append(refused.problem)
        return wanted, problems + self._references(kind, record, wanted)

    def _references(self, kind: ObjectType, record: Record | None, wanted: Mapping[str, str]) -> list[Problem]:
        """Values that name something of the portal: owners, pipelines, stages."""
        problems = []
        owner = wanted.get("hubspot_owner_id")
        if owner and (owner not in self.owners or self.owners[owner].archived):
            problems.append(Problem("hubspot_owner_id", "INVALID_OPTION", f"{owner} was not one of the allowed options: active owners"))
        if kind.name == "deals" and (wanted.get("dealstage") or wanted.get("pipeline")):
            before = record.values if record else {}
            home = wanted.get("pipeline", before.get("pipeline") or "default")
            known = next((pipeline for pipeline in self.pipelines if pipeline.id == home), None)
            stage = wanted.get("dealstage", before.get("dealstage", ""))
            if known is None:
                problems.append(Problem("pipeline", "INVALID_OPTION", f"{home} was not one of the allowed options: deal pipelines"))
            elif stage not in [candidate.id for candidate in known.stages if not candidate.deleted]:
                problems.append(Problem("dealstage", "INVALID_OPTION", f"{stage} was not one of the allowed options: stages of pipeline {home}"))
        return problems

    def create(self, kind: str, values: Mapping[str, str], source: Source = ADMIN) -> Record:
        """A new record, stamped now. ``values`` are taken as they are; read-only ones too, and empty ones are left out."""
        type_ = schema.TYPES[kind]
        at, number = self.now, self.next_id[kind]
        self.next_id[kind] = number + 1
        record = Record(type_, number, {"hs_object_id": str(number), type_.created: values.get(type_.created) or stamp(at)})
        self.records[kind][number] = record
        self.live[kind].append(number)
        self._write(record, {name: value for name, value in values.items() if value != "" and name != type_.created}, source)
        record.move_stamp(at)
        insort(self.index[kind], (at, number))
        return record

    def update(self, record: Record, wanted: Mapping[str, str], source: Source = ADMIN) -> frozenset[str]:
        """Set values; the names that changed, calculated ones included. The modified date moves on a real change only."""
        props = self.properties[record.kind.name]
        real = {name: value for name, value in wanted.items() if not same(props.get(name), record.values.get(name), value)}
        if not real:
            return frozenset()
        changed = self._write(record, real, source)
        self._move(record)
        return frozenset(changed)

    def _write(self, record: Record, values: Mapping[str, str], source: Source) -> set[str]:
        at = self.now
        stage_before = record.values.get("dealstage", "")
        closed_before = record.values.get("hs_is_closed") == "true"
        for name, value in values.items():
            record.put(name, value, at, source)
        if record.kind.name != "deals":
            return set(values)
        changed: set[str] = set()
        if "dealstage" in values:
            changed |= self._stage_moved(record, stage_before)
            if record.values.get("hs_is_closed") == "true" and not closed_before and "closedate" not in values:
                record.put("closedate", stamp(at), at, CALCULATED)
                changed.add("closedate")
        changed |= self._calculate(record, self._amounts(record.values) | {"days_to_close": deals.days_to_close(record.values)})
        return changed | set(values)

    def _stage_moved(self, record: Record, before: str) -> set[str]:
        at = self.now
        changed: set[str] = set()
        if left := self.stage(before):
            changed |= self._calculate(record, deals.leaving(record, *left, at))
        if entered := self.stage(record.values["dealstage"]):
            changed |= self._calculate(record, deals.entering(*entered, at))
        return changed

    def _amounts(self, values: Mapping[str, str]) -> dict[str, str]:
        found = self.stage(values.get("dealstage", ""))
        return deals.amounts(values, self.rates, self.currency, found[1].probability if found else 0.0)

    def _calculate(self, record: Record, values: Mapping[str, str]) -> set[str]:
        """Calculated values get history but do not move the modified date by themselves."""
        changed = {name for name, value in values.items() if record.values.get(name) != value}
        for name in changed:
            record.put(name, values[name], self.now, CALCULATED)
        return changed

    def _move(self, record: Record) -> None:
        index, at = self.index[record.kind.name], self.now
        if record.archived_at is None:
            del index[bisect_left(index, (record.stamp, record.number))]
            insort(index, (at, record.number))
        record.move_stamp(at)

    def archive(self, record: Record) -> None:
        """What the screen calls deleting: the modified date stays, search no longer shows the record."""
        if record.archived_at is None:
            record.archived_at = self.now
            self._withdraw(record)

    def restore(self, record: Record) -> None:
        """Back from the recycle bin, with its links."""
        if record.archived_at is None:
            return
        record.archived_at = None
        insort(self.live[record.kind.name], record.number)
        insort(self.index[record.kind.name], (record.stamp, record.number))
        if self.restore_moves_stamp:
            self._move(record)

    def erase(self, record: Record) -> None:
        """Gone for good at once, as by a privacy request."""
        self.archive(record)
        del self.records[record.kind.name][record.number]

    def _withdraw(self, record: Record) -> None:
        live, index = self.live[record.kind.name], self.index[record.kind.name]
        del live[bisect_left(live, record.number)]
        del index[bisect_left(index, (record.stamp, record.number))]

    def merge(self, winner: Record, loser: Record) -> Record:
        """Both become a new record with the combined history and links; the winner's values prevail. The old ids mean the new record."""
        kind, at = winner.kind, self.now
        number = self.next_id[kind.name]
        self.next_id[kind.name] = number + 1
        born = min(winner.values[kind.created], loser.values[kind.created])
        heir = Record(kind, number, {"hs_object_id": str(number), kind.created: born})
        apart = {"hs_object_id", kind.created, kind.modified, "hs_merged_object_ids"}
        for name in dict.fromkeys([*winner.history, *loser.history]):
            if name not in apart:
                versions = winner.history.get(name, []) + loser.history.get(name, [])
                heir.history[name] = sorted(versions, key=lambda version: version.at)
                value = winner.values.get(name) or loser.values.get(name, "")
                heir.values[name] = value
                if heir.history[name][-1].value != value:
                    heir.put(name, value, at, MERGE)
        losers = [part for record in (winner, loser) for part in (*record.values.get("hs_merged_object_ids", "").split(";"), record.id) if part]
        heir.put("hs_merged_object_ids", ";".join(dict.fromkeys(losers)), at, MERGE)
        for record in (winner, loser):
            if record.archived_at is None:
                self._withdraw(record)
            del self.records[kind.name][record.number]
            self.aliases[kind.name][record.number] = number
            self.associations.take_over(kind.name, record.number, number)
        self.records[kind.name][number] = heir
        self.live[kind.name].append(number)
        heir.move_stamp(at)
        insort(self.index[kind.name], (at, number))
        self._count_contacts(kind.name, number)
        return heir

    def associate(self, one: Record, two: Record, label: str | None = None) -> None:
        """Link two records, with a label's name if given. No stamp moves; the deal's number of contacts does."""
        self.associations.link(one.kind.name, one.number, two.kind.name, two.number, label)
        for record in (one, two):
            self._count_contacts(record.kind.name, record.number)

    def dissociate(self, one: Record, two: Record) -> None:
        """Take the link away. No stamp moves."""
        self.associations.unlink(one.kind.name, one.number, two.kind.name, two.number)
        for record in (one, two):
            self._count_contacts(record.kind.name, record.number)

    def _count_contacts(self, kind: str, number: int) -> None:
        if kind == "deals":
            linked = len(self.associations.of("deals", number, "contacts"))
            self._calculate(self.records["deals"][number], {"num_associated_contacts": str(linked)})

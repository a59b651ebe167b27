"""The portal's records. Everything that changes a record goes through here, so that stamps and history stay right.

Not safe for threads: the API runs on one event loop, and tests touch a portal only between requests.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import count

from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot import deals, derived, schema
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.hubspot.oauth import Tokens
from connector.sandbox.hubspot.records import ADMIN, CALCULATED, MERGE, Record, Source, stamp
from connector.sandbox.hubspot.schema import ObjectType, Property
from connector.sandbox.hubspot.setup import Owner, Setup
from connector.sandbox.hubspot.values import Problem, Refused, kept, same

__all__ = ["Owner", "Portal", "Rule"]

Rule = Callable[[Record, Mapping[str, str]], Problem | None]
"""A rule of the portal's admin: sees the record and the values about to be set, and refuses with a problem or lets pass."""
RETENTION_MS = 90 * 86_400_000
"""How long an archived record can be restored; then it is gone."""


class Portal(Setup):
    """One HubSpot account; what its admin sets up is :class:`Setup`'s.

    Switches for tests and faults: ``index_lag`` (seconds of virtual time by which the search index trails), ``index_hydrates``
    (what the lagging index finds by old values is shown with the present ones, as recorded twice), ``ids_as_text``
    (search compares record ids as text), ``page_shortfall`` (so many records fewer than asked stand on every page but the last),
    ``limits_on``, ``denied_scopes`` (for every credential), ``rules`` (see :data:`Rule`), ``rules_2026_09`` (enforced under that version
    only), ``lost_effects`` (a write answers 200 and does nothing where one of these says so), ``before_write`` (run once, just before the
    next API write is looked at: somebody edits in between), ``workflows`` (run after an API write with the record and the names
    that changed), ``association_page`` (links a page), ``restore_moves_stamp``,
    ``empty_history`` (a property asked for with history that never had a value comes with an empty list, as recorded once),
    ``mixed_case_headers`` (header names as HTTP/1.1 shows them; otherwise in lower case, as over HTTP/2).
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.records: dict[str, dict[int, Record]] = {name: {} for name in schema.TYPES}
        self.live: dict[str, list[int]] = {name: [] for name in schema.TYPES}
        self.index: dict[str, list[tuple[int, int]]] = {name: [] for name in schema.TYPES}
        self.aliases: dict[str, dict[int, int]] = {name: {} for name in schema.TYPES}
        self.next_id: dict[str, int] = {name: kind.first_id for name, kind in schema.TYPES.items()}
        self.tokens = Tokens()
        self.keys: dict[tuple[str, str], str] = {}
        self.limits = Limits(self.time_zone)
        self.correlations = count(1)
        self.index_lag = 0.0
        self.index_hydrates = False
        self.settled_at = 0
        self.delayed: dict[tuple[str, int], tuple[int, int]] = {}
        self.ids_as_text = False
        self.page_shortfall = 0
        self.limits_on = True
        self.denied_scopes: set[str] = set()
        self.rules: list[Rule] = []
        self.rules_2026_09: list[Rule] = []
        self.lost_effects: list[Callable[[Record, Mapping[str, str]], bool]] = []
        self.before_write: list[Callable[[Portal], None]] = []
        self.workflows: list[Callable[[Record, frozenset[str]], None]] = []
        self.association_page = 100
        self.restore_moves_stamp = False
        self.empty_history = False
        self.mixed_case_headers = False

    def add_property(self, kind: str, prop: Property) -> None:
        super().add_property(kind, prop)
        if prop.formula is not None:  # every record there is gets its value at once
            for record in self.records[kind].values():
                self._work_out(record)

    # -- the search index ----------------------------------------------------------------------------------------------

    @property
    def horizon(self) -> int:
        """The instant (ms) up to which the search index has caught up."""
        return max(self.now - int(self.index_lag * 1000), self.settled_at)

    def settle(self) -> None:
        """The index catches up with everything written so far; later writes lag again."""
        self.settled_at = self.now
        self.delayed.clear()

    def delay(self, record: Record, seconds: float) -> None:
        """The index learns of what this record becomes from now on (for a record just made: of its existence) only in ``seconds``."""
        known = self.now - 1 if record.stamp == self.now else self.now
        self.delayed[record.kind.name, record.number] = (known, self.now + int(seconds * 1000))

    # -- reading -----------------------------------------------------------------------------------------------------

    def resolve(self, kind: str, id_: str) -> Record | None:
        """The record that an id means today: a merged loser's id means the survivor. Archived ones are found too, for 90 days."""
        number = int(id_) if id_.isascii() and id_.isdigit() else -1
        while number in self.aliases[kind]:
            number = self.aliases[kind][number]
        record = self.records[kind].get(number)
        return None if record is not None and self._past_restoring(record) else record

    def _past_restoring(self, record: Record) -> bool:
        return record.archived_at is not None and record.archived_at + RETENTION_MS <= self.now

    def archived(self, kind: str) -> list[int]:
        """Numbers of what lies in the recycle bin, in order."""
        return sorted(record.number for record in self.records[kind].values() if record.archived_at is not None and not self._past_restoring(record))

    def by_value(self, kind: str, name: str, value: str) -> Record | None:
        """The live record that has a value in a property by which records are told apart (a contact's e-mail), in any case."""
        wanted = value.casefold()
        table = self.records[kind]
        return next((table[number] for number in self.live[kind] if table[number].values.get(name, "").casefold() == wanted), None)

    def linked(self, kind: str, number: int, to: str) -> dict[int, list[dict[str, object]]]:
        """Live linked id → its association types in wire form, by id. Empty for a loser's id and for archived records."""
        record = self.records[kind].get(number)
        if record is None or record.archived_at is not None:
            return {}
        held = self.associations.of(kind, number, to)
        there = self.records[to]
        return {other: [label.wire() for label in held[other]] for other in sorted(held) if other in there and there[other].archived_at is None}

    # -- what a write must satisfy -----------------------------------------------------------------------------------

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
        return wanted, problems + self._references(kind, record, wanted) + self.validations.values(kind, wanted)

    def _references(self, kind: ObjectType, record: Record | None, wanted: Mapping[str, str]) -> list[Problem]:
        """Values that name something of the portal: owners, pipelines, stages."""
        problems = []
        owner = wanted.get("hubspot_owner_id")
        if owner and (owner not in self.owners or self.owners[owner].archived):
            problems.append(Problem("hubspot_owner_id", "INVALID_OPTION", f"{owner} was not one of the allowed options: active owners"))
        if kind.stages and (wanted.get(kind.stages[0]) or wanted.get(kind.stages[1])):
            before = record.values if record else {}
            pipelines = self.pipelines_of[kind.name]
            in_pipeline, in_stage = kind.stages
            home = wanted.get(in_pipeline, before.get(in_pipeline) or pipelines[0].id)
            known = next((pipeline for pipeline in pipelines if pipeline.id == home), None)
            stage = wanted.get(in_stage, before.get(in_stage, ""))
            if known is None:
                problems.append(Problem(in_pipeline, "INVALID_OPTION", f"{home} was not one of the allowed options: {kind.singular} pipelines"))
            elif stage not in [candidate.id for candidate in known.stages if not candidate.deleted]:
                problems.append(Problem(in_stage, "INVALID_OPTION", f"{stage} was not one of the allowed options: stages of pipeline {home}"))
        return problems

    # -- changing ----------------------------------------------------------------------------------------------------

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

    def create_many(self, kind: str, rows: Iterable[Mapping[str, str]], source: Source = ADMIN) -> list[Record]:
        """Many records, all of one instant, as an import makes them."""
        return [self.create(kind, row, source) for row in rows]

    def update(self, record: Record, wanted: Mapping[str, str], source: Source = ADMIN) -> frozenset[str]:
        """Set values; the names that changed, calculated ones included. The modified date moves on a real change only."""
        props = self.properties[record.kind.name]
        real = {name: value for name, value in wanted.items() if not same(props.get(name), record.values.get(name), value)}
        if not real:
            return frozenset()
        changed = self._write(record, real, source)
        self._move(record)
        return frozenset(changed)

    def bulk_edit(self, records: Iterable[Record], values: Mapping[str, str], source: Source = ADMIN) -> int:
        """The same values on many records at one instant, as a workflow or an edit of a list does; how many really changed."""
        return sum(bool(self.update(record, values, source)) for record in records)

    def _write(self, record: Record, values: Mapping[str, str], source: Source) -> set[str]:
        at, kind = self.now, record.kind
        in_stage = kind.stages[1] if kind.stages else ""
        stage_before = record.values.get(in_stage, "")
        closed_before = record.values.get("hs_is_closed") == "true"
        for name, value in values.items():
            record.put(name, value, at, source)
        changed: set[str] = set()
        if in_stage in values:
            changed |= self._stage_moved(record, in_stage, stage_before)
        if kind.name == "deals":
            if record.values.get("hs_is_closed") == "true" and not closed_before and "closedate" not in values and in_stage in values:
                record.put("closedate", stamp(at), at, CALCULATED)
                changed.add("closedate")
            changed |= self._calculate(record, self._amounts(record.values) | {"days_to_close": deals.days_to_close(record.values)})
        return changed | self._work_out(record) | set(values)

    def _stage_moved(self, record: Record, in_stage: str, before: str) -> set[str]:
        at, kind = self.now, record.kind.name
        changed: set[str] = set()
        if left := self.stage(before, kind):
            changed |= self._calculate(record, deals.leaving(record, *left, at))
        if entered := self.stage(record.values[in_stage], kind):
            changed |= self._calculate(record, deals.entering(*entered, at))
        return changed

    def _amounts(self, values: Mapping[str, str]) -> dict[str, str]:
        found = self.stage(values.get("dealstage", ""))
        return deals.amounts(values, self.rates, self.currency, found[1].probability if found else 0.0)

    def _calculate(self, record: Record, values: Mapping[str, str]) -> set[str]:
        """Calculated values get history but do not move the modified date by themselves."""
        changed = {name for name, value in values.items() if record.values.get(name) != value}
        at = self.now
        for name in changed:
            record.put(name, values[name], at, CALCULATED)
        return changed

    def _work_out(self, record: Record) -> set[str]:
        """Formulas follow every change of the record, one that reads another after it; the names that changed."""
        made, changed = self.formulas[record.kind.name], set[str]()
        for _ in made:
            values = {name: formula.value(record.values) for name, formula in made.items()}
            now = self._calculate(record, {name: value for name, value in values.items() if value != record.values.get(name, "")})
            if not now:
                break
            changed |= now
        return changed

    def recalculate(self, record: Record, values: Mapping[str, str]) -> None:
        """A calculated property takes another value: history shows it, the modified date stays."""
        self._calculate(record, values)

    def fill_in(self, record: Record, given: Mapping[str, str], *, new: bool) -> set[str]:
        """What HubSpot adds to a write that came through the API; the names it set."""
        kind, at = record.kind.name, self.now
        users = {owner.id: str(owner.user_id) for owner in self.owners.values()}
        made = derived.on_change(kind, given, users, at)
        if new:
            made |= derived.at_birth(kind, record.number, record.values, at)
        return self._calculate(record, made)

    def _move(self, record: Record) -> None:
        index, at = self.index[record.kind.name], self.now
        if record.archived_at is None:
            del index[bisect_left(index, (record.stamp, record.number))]
            insort(index, (at, record.number))
        record.move_stamp(at)

    def set_rate(self, currency: str, rate: Decimal) -> None:
        """A new exchange rate: open deals follow it at once, and their modified date does not move."""
        self.rates[currency] = rate
        self.rate_changes.append((currency, rate, self.now))
        for record in self.records["deals"].values():
            self._calculate(record, self._amounts(record.values))

    # -- leaving and coming back -------------------------------------------------------------------------------------

    def archive(self, record: Record) -> None:
        """What the screen calls deleting: the modified date stays, search no longer shows the record."""
        if record.archived_at is None:
            record.archived_at = self.now
            self._withdraw(record)

    def restore(self, record: Record) -> None:
        """Back from the recycle bin, with its links. After 90 days there is nothing left to restore: raises KeyError."""
        if record.archived_at is None:
            return
        if self._past_restoring(record):
            raise KeyError(f"{record.kind.singular} {record.id} was archived more than 90 days ago")
        record.archived_at = None
        insort(self.live[record.kind.name], record.number)
        insort(self.index[record.kind.name], (record.stamp, record.number))
        if self.restore_moves_stamp:
            self._move(record)

    def erase(self, record: Record) -> None:
        """Gone for good at once, as by a privacy request."""
        self.archive(record)
        del self.records[record.kind.name][record.number]

    gdpr_delete = erase

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
        self._work_out(heir)
        self.records[kind.name][number] = heir
        self.live[kind.name].append(number)
        heir.move_stamp(at)
        insort(self.index[kind.name], (at, number))
        self._count_contacts(kind.name, number)
        return heir

    # -- links -------------------------------------------------------------------------------------------------------

    def associate(self, one: Record, two: Record, label: str | None = None) -> None:
        """Link two records, with a label's name if given. No stamp moves; the deal's number of contacts does."""
        self.associations.link(one.kind.name, one.number, two.kind.name, two.number, label)
        for record in (one, two):
            self._count_contacts(record.kind.name, record.number)

    def dissociate(self, one: Record, two: Record, label: str | None = None) -> None:
        """Take the link away, or only its label of that name. No stamp moves."""
        self.associations.unlink(one.kind.name, one.number, two.kind.name, two.number, label)
        for record in (one, two):
            self._count_contacts(record.kind.name, record.number)

    def _count_contacts(self, kind: str, number: int) -> None:
        if kind == "deals":
            linked = len(self.associations.of("deals", number, "contacts"))
            self._calculate(self.records["deals"][number], {"num_associated_contacts": str(linked)})

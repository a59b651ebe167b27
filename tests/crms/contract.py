"""What every adapter promises, as one suite. An adapter joins with a subclass of CrmContract and a Bench of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol, get_args

import pytest

from connector.crms.base import Bookmark, Crm, FieldType, Page, PushPart, Record, StreamSpec, Update, Value, Window
from connector.errors import ConnectorError, CrmConfigError, OutsideManifest

MANY = 23  # records; with pages of ten or fewer they are at least three pages


class Bench(Protocol):
    """The other side of a CRM: what the suite needs to make things happen in it. Deals are what is read and written."""

    deals: StreamSpec  # a stream of the object deals live in; ``fields`` holds ``name``
    name: str  # a text field that people edit
    managed: str  # a text field of the manifest, empty at first
    other: str  # another field of the manifest, empty at first
    bad: tuple[str, Value]  # a field of the manifest with a value that the CRM refuses
    foreign: str  # a field of the object that is not in the manifest
    denied: str  # a free text field that nobody may ask for
    unknown: str  # an id that no record has
    idle_calls: int  # the most that a read without any change may cost
    calculated: str  # a field whose value changes although nobody saves the record

    def open(self) -> Crm:
        """A connection as a new process would open it. The bench closes it."""
        ...

    def unreachable(self) -> Crm:
        """A connection to a CRM that does not answer."""
        ...

    def create(self, count: int) -> list[str]:
        """So many deals, all in one instant."""
        ...

    def late(self, age: timedelta) -> str:
        """A deal that shows up now with a stamp that old, as a slow transaction leaves it."""
        ...

    def drift(self, id: str) -> None:
        """Make the calculated field of a deal show another value from now on, or with the time that passes. No stamp moves."""
        ...

    def computed(self, id: str) -> Value:
        """What the calculated field of a deal shows now, as a read gives it."""
        ...

    def edit(self, id: str, values: Mapping[str, Value]) -> None: ...
    def delete(self, id: str) -> None: ...

    def merge(self) -> tuple[StreamSpec, str, str]:
        """Make two records and fold one into the other: (their stream, the loser, where it went)."""
        ...

    def truth(self, field: str) -> Mapping[str, Value]:
        """What the CRM holds now: live deal → value, empty ones as None."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass in the CRM and for the connector."""
        ...

    def requested(self) -> str:
        """The text of everything that was asked of the CRM so far, addresses and bodies."""
        ...


@dataclass
class Held:
    """What a state would hold: records by id, the newest version of each, and the bookmark."""

    records: dict[str, Record] = field(default_factory=dict)
    bookmark: Bookmark | None = None
    pages: list[Page] = field(default_factory=list)

    def take(self, page: Page) -> None:
        self.pages.append(page)
        self.records |= {record.id: record for record in page.records}
        self.bookmark = page.bookmark

    def pull(self, crm: Crm, stream: StreamSpec, pages: int | None = None) -> list[Page]:
        """Read up to the CRM's now; ``pages``: stop dead after so many."""
        before = len(self.pages)
        window = Window(self.bookmark, crm.now(), open_ids=self.alive, deal_ids=self.alive, known_versions=self.versions)
        for page in islice(crm.read(stream, window), pages):
            self.take(page)
        return self.pages[before:]

    def alive(self) -> list[str]:
        return sorted(id_ for id_, record in self.records.items() if not record.deleted)

    def versions(self, ids: Any) -> dict[str, str]:
        return {id_: self.records[id_].version or "" for id_ in ids if id_ in self.records}

    def values(self, name: str) -> dict[str, Value]:
        return {id_: self.records[id_].values[name] or None for id_ in self.alive()}


def delivered(pages: list[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


class CrmContract:
    """Subclasses provide the fixture ``bench``."""

    lookback = timedelta(minutes=5)  # how far each read looks back at the least: overlap and lag where stamps are given before the commit

    @pytest.fixture
    def crm(self, bench: Bench) -> Iterator[Crm]:
        found = bench.open()
        yield found
        found.close()

    @pytest.fixture
    def filled(self, bench: Bench) -> list[str]:
        ids = bench.create(MANY)
        bench.wait(3_600)
        return ids

    # -- who and what ----------------------------------------------------------------------------------------------

    def test_check_proves_the_credentials(self, crm: Crm) -> None:
        org = crm.check()
        assert org.org_id
        assert org.name
        assert org.user_id
        assert org.currency == "USD"
        assert org.time_zone
        assert org.now.utcoffset() == timedelta(0)
        assert org.now == crm.now()

    def test_now_is_the_clock_of_the_crm(self, crm: Crm, bench: Bench) -> None:
        before = crm.now()
        bench.wait(7_200)
        assert crm.now() - before == timedelta(seconds=7_200)

    def test_discover_describes_every_field(self, crm: Crm, bench: Bench) -> None:
        fields = crm.discover(bench.deals.object)
        own = {name for name in bench.deals.fields if "." not in name}
        assert {*own, bench.managed, bench.other, bench.foreign} <= set(fields)
        for name, found in fields.items():
            assert found.name == name
            assert found.label
            assert found.type in get_args(FieldType)
            assert not (found.calculated and found.writable), name
            assert found.type in ("picklist", "multipicklist", "boolean", "other") or not found.options, name
        assert fields[bench.managed].writable
        assert fields[bench.name].type == "text"

    def test_an_unknown_object_is_a_mistake_of_the_mapping(self, crm: Crm) -> None:
        with pytest.raises(CrmConfigError):
            crm.discover("no_such_object")

    def test_pipelines_list_legal_stages_once_and_know_the_end(self, crm: Crm) -> None:
        found = crm.pipelines()
        assert len({pipeline.id for pipeline in found}) == len(found) >= 1
        for pipeline in found:
            ids = [stage.id for stage in pipeline.stages]
            assert pipeline.label
            assert len(set(ids)) == len(ids) >= 2, pipeline.id
            assert any(stage.active and stage.closed and stage.won for stage in pipeline.stages), pipeline.id
            assert any(stage.active and not stage.closed for stage in pipeline.stages), pipeline.id
            for stage in pipeline.stages:
                assert stage.probability is None or 0 <= stage.probability <= 1
                assert stage.closed or not stage.won

    # -- reading ---------------------------------------------------------------------------------------------------

    def test_a_full_read_brings_every_record_and_the_deleted_as_deleted(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        bench.delete(filled[3])
        bench.delete(filled[-1])
        bench.wait(3_600)
        held = Held()
        pages = held.pull(crm, bench.deals)
        assert held.values(bench.name) == bench.truth(bench.name)
        assert {r.id for r in held.records.values() if r.deleted} <= {filled[3], filled[-1]}
        assert len(held.alive()) == MANY - 2
        assert len([page for page in pages if page.records]) >= 3
        for record in held.records.values():
            if not record.deleted:
                assert set(bench.deals.fields) == set(record.values)
                assert record.version
                assert record.modified_at is not None
                assert record.modified_at.utcoffset() == timedelta(0)

    def test_an_idle_read_brings_nothing_new_and_costs_its_minimum(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        bench.wait(3_600)
        held.pull(crm, bench.deals)
        bench.wait(900)
        crm.now()
        before = crm.meter.calls
        until = crm.now()
        clock_calls = crm.meter.calls - before
        pages = held.pull(crm, bench.deals)
        assert delivered(pages) == []
        assert crm.meter.calls - before - 2 * clock_calls <= bench.idle_calls
        assert pages[-1].bookmark == held.bookmark
        assert until == crm.now()

    def test_what_the_overlap_repeats_is_the_same_version(self, crm: Crm, bench: Bench) -> None:
        bench.create(MANY)
        bench.wait(60)
        held = Held()
        held.pull(crm, bench.deals)
        first = dict(held.records)
        bench.wait(60)
        for record in delivered(held.pull(crm, bench.deals)):
            assert record == first[record.id]

    def test_cut_after_any_page_nothing_is_lost_and_at_most_a_page_is_repeated(self, bench: Bench, filled: list[str]) -> None:
        whole = Held()
        crm = bench.open()
        pages = whole.pull(crm, bench.deals)
        crm.close()
        most = max(len(page.records) for page in pages)
        for cut in range(1, len(pages)):
            held = Held()
            first, second = bench.open(), bench.open()
            before = delivered(held.pull(first, bench.deals, pages=cut))
            bench.wait(60)
            after = delivered(held.pull(second, bench.deals))
            first.close()
            second.close()
            assert held.values(bench.name) == bench.truth(bench.name), f"cut after page {cut}"
            again = {(r.id, r.version) for r in before} & {(r.id, r.version) for r in after}
            assert len(again) <= most, f"cut after page {cut}"
            assert len(before) + len(after) <= MANY + most

    def test_cut_twice_nothing_is_lost(self, bench: Bench, filled: list[str]) -> None:
        held = Held()
        for pages in (1, 1, None):
            crm = bench.open()
            held.pull(crm, bench.deals, pages=pages)
            crm.close()
            bench.wait(1_800)
            bench.edit(filled[0], {bench.name: f"after {len(held.pages)} pages"})
            bench.wait(1_800)
        crm = bench.open()
        held.pull(crm, bench.deals)
        crm.close()
        assert held.values(bench.name) == bench.truth(bench.name)

    def test_stamps_that_tie_across_page_borders_lose_nothing(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        pages = held.pull(crm, bench.deals)
        got = [record.id for record in delivered(pages)]
        assert sorted(set(got)) == sorted(filled)
        assert len({held.records[id_].modified_at for id_ in filled}) == 1

    @pytest.mark.parametrize("place", [0, 11, MANY - 1])
    def test_a_record_edited_while_pages_are_read_is_not_lost(self, crm: Crm, bench: Bench, filled: list[str], place: int) -> None:
        held = Held()
        reading = crm.read(bench.deals, Window(None, crm.now(), known_versions=held.versions))
        held.take(next(reading))
        bench.wait(30)
        bench.edit(filled[place], {bench.name: "edited meanwhile"})
        bench.wait(1)
        for page in reading:
            held.take(page)
        bench.wait(600)
        held.pull(crm, bench.deals)
        assert held.values(bench.name) == bench.truth(bench.name)
        assert held.values(bench.name)[filled[place]] == "edited meanwhile"

    def test_a_change_is_brought_once_it_is_made(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        bench.wait(3_600)
        bench.edit(filled[7], {bench.name: "renamed"})
        bench.wait(1)
        brought = delivered(held.pull(crm, bench.deals))
        assert filled[7] in {record.id for record in brought}
        assert held.values(bench.name) == bench.truth(bench.name)

    @pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
    def test_the_bookmark_never_passes_the_end_of_the_window_less_the_lag(self, crm: Crm, bench: Bench, filled: list[str], share: float) -> None:
        """A deal that is seen only after the read, with a stamp from before its end."""
        held = Held()
        held.pull(crm, bench.deals)
        latecomer = bench.late(self.lookback * share)
        assert latecomer not in held.records
        bench.wait(1_800)
        held.pull(crm, bench.deals)
        assert latecomer in held.alive()

    def test_an_empty_read_moves_the_bookmark_no_further_than_one_that_brings_records(self, crm: Crm, bench: Bench) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        assert delivered(held.pages) == []
        assert held.bookmark
        latecomer = bench.late(timedelta(minutes=4))
        bench.wait(1_800)
        held.pull(crm, bench.deals)
        assert held.alive() == [latecomer]

    def test_a_deleted_record_becomes_a_tombstone(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        bench.wait(3_600)
        bench.delete(filled[5])
        bench.wait(1)
        held.pull(crm, bench.deals)
        assert held.records[filled[5]].deleted
        assert held.values(bench.name) == bench.truth(bench.name)

    def test_a_merged_record_names_its_survivor(self, crm: Crm, bench: Bench) -> None:
        stream, loser, survivor = bench.merge()
        bench.wait(3_600)
        held = Held()
        held.pull(crm, stream)
        assert survivor in held.alive()
        assert loser not in held.alive()
        if loser in held.records:
            assert held.records[loser].merged_into == survivor

    def test_a_merge_after_the_first_read_is_brought(self, crm: Crm, bench: Bench) -> None:
        held = Held()
        stream, _, _ = bench.merge()
        bench.wait(3_600)
        held.pull(crm, stream)
        _, loser, survivor = bench.merge()
        bench.wait(1)
        held.pull(crm, stream)
        assert survivor in held.alive()
        assert loser not in held.alive()

    def test_a_field_that_does_not_exist_fails_the_stream(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        stream = StreamSpec(bench.deals.name, bench.deals.object, (*bench.deals.fields, "no_such_field__c"))
        with pytest.raises(CrmConfigError, match="no_such_field__c"):
            list(crm.read(stream, Window(None, crm.now())))

    # -- what no stamp tells ---------------------------------------------------------------------------------------

    def test_a_calculated_value_is_read_again_daily_although_no_stamp_moved(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        stream = replace(bench.deals, fields=(*bench.deals.fields, bench.calculated), refresh=(bench.calculated,))
        held = Held()
        held.pull(crm, stream)
        first, version = bench.computed(filled[6]), held.records[filled[6]].version
        assert held.records[filled[6]].values[bench.calculated] == first
        bench.drift(filled[6])
        bench.wait(90_000)
        held.pull(crm, stream)
        assert bench.computed(filled[6]) != first
        assert held.records[filled[6]].values[bench.calculated] == bench.computed(filled[6])
        assert held.records[filled[6]].version == version
        assert held.values(bench.name) == bench.truth(bench.name)
        bench.wait(3_600)
        assert filled[6] not in {record.id for record in delivered(held.pull(crm, stream))}

    def test_a_sweep_that_is_cut_is_finished_by_the_next_read(self, bench: Bench, filled: list[str]) -> None:
        stream = replace(bench.deals, fields=(*bench.deals.fields, bench.calculated), refresh=(bench.calculated,))
        crm, held = bench.open(), Held()
        held.pull(crm, stream)
        for id_ in filled:
            bench.drift(id_)
        bench.wait(90_000)
        held.pull(crm, stream, pages=2)
        crm.close()
        crm = bench.open()
        held.pull(crm, stream)
        crm.close()
        assert {id_: held.records[id_].values[bench.calculated] for id_ in filled} == {id_: bench.computed(id_) for id_ in filled}

    # -- counting --------------------------------------------------------------------------------------------------

    def test_the_crm_counts_its_records(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        bench.delete(filled[2])
        bench.wait(3_600)
        counted = crm.count(bench.deals)
        assert counted is not None
        assert counted.live == len(bench.truth(bench.name)) == MANY - 1
        assert counted.deleted in (None, 1)

    def test_ids_name_every_live_record_in_batches(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        bench.delete(filled[2])
        bench.wait(3_600)
        batches = [list(batch) for batch in crm.ids(bench.deals)]
        assert sorted(id_ for batch in batches for id_ in batch) == sorted(bench.truth(bench.name))
        assert filled[2] not in {id_ for batch in batches for id_ in batch}
        assert len(batches) >= 2

    def test_ids_of_nothing_are_none(self, crm: Crm, bench: Bench) -> None:
        assert [id_ for batch in crm.ids(bench.deals) for id_ in batch] == []

    def test_the_cost_is_told_beforehand_without_a_call_and_roughly_right(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        crm.now()
        before = crm.meter.calls
        told = [crm.cost(bench.deals, records) for records in (0, 1, MANY, 1_000, 10_000, 100_000)]
        assert crm.meter.calls == before
        assert told == sorted(told)
        assert 1 <= told[0] <= bench.idle_calls + 2
        held = Held()
        held.pull(crm, bench.deals)
        spent = crm.meter.calls - before
        assert told[2] / 4 <= spent <= 4 * told[2] + 4

    def test_the_cost_of_a_push_is_told_beforehand_without_a_call(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        crm.now()
        before = crm.meter.calls
        fields = (bench.name, bench.managed)
        told = [crm.push_cost([PushPart(bench.deals.object, records, 100)], fields) for records in (0, 1, 100, 101, 10_000)]
        assert crm.meter.calls == before
        assert [cost.writes for cost in told] == [0, 1, 1, 2, 100]
        assert [cost.reads - told[0].reads for cost in told] == [0, 1, 1, 2, 100]
        both = crm.push_cost([PushPart(bench.deals.object, 100, 100), PushPart("other", 100, 100)], (bench.name,))
        assert (both.writes, both.calls - told[0].calls >= 4) == (2, True)

    # -- reading known records -------------------------------------------------------------------------------------

    def test_fetch_answers_by_the_id_asked_for(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        bench.delete(filled[1])
        asked = [filled[2], bench.unknown, filled[0], filled[1], filled[2]]
        found = crm.fetch(bench.deals.object, asked, (bench.name, bench.managed))
        assert set(found) == {filled[0], filled[2]}
        truth = bench.truth(bench.name)
        for id_, record in found.items():
            assert record.id == id_
            assert record.values[bench.name] == truth[id_]
            assert record.values[bench.managed] in (None, "")
            assert record.version

    def test_fetch_agrees_with_read_on_the_version(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        found = crm.fetch(bench.deals.object, filled, (bench.name,))
        assert {id_: record.version for id_, record in found.items()} == {id_: held.records[id_].version for id_ in filled}

    def test_what_is_read_again_by_id_is_what_a_window_brings(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        """Not those that are gone, unless as tombstones."""
        held = Held()
        held.pull(crm, bench.deals)
        bench.delete(filled[1])
        found = {record.id: record for records in crm.again(bench.deals, [filled[2], filled[0], filled[1]]) for record in records}
        assert {id_ for id_, record in found.items() if not record.deleted} == {filled[0], filled[2]}
        assert [found[id_] for id_ in (filled[0], filled[2])] == [held.records[id_] for id_ in (filled[0], filled[2])]
        assert list(crm.again(bench.deals, [])) == []

    def test_fetch_of_nothing_is_nothing(self, crm: Crm, bench: Bench) -> None:
        assert crm.fetch(bench.deals.object, [], (bench.name,)) == {}

    def test_fetch_of_an_unknown_field_is_a_mistake_of_the_mapping(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        with pytest.raises(CrmConfigError):
            crm.fetch(bench.deals.object, filled[:1], ("no_such_field__c",))

    # -- writing ---------------------------------------------------------------------------------------------------

    def test_a_field_outside_the_manifest_is_refused_before_anything_is_sent(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        before = bench.truth(bench.foreign), bench.truth(bench.managed)
        calls = crm.meter.calls
        good = Update(bench.deals.object, filled[0], {bench.managed: "x"})
        for values in ({bench.foreign: "y"}, {bench.managed: "y", bench.foreign: "z"}):
            with pytest.raises(OutsideManifest):
                list(crm.write([good, Update(bench.deals.object, filled[1], values)]))
        with pytest.raises(OutsideManifest):
            list(crm.write([Update("some_other_object", filled[1], {bench.managed: "y"})]))
        assert crm.meter.calls == calls
        assert (bench.truth(bench.foreign), bench.truth(bench.managed)) == before

    def test_one_result_for_each_update_good_bad_and_gone(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        bench.delete(filled[4])
        field_, value = bench.bad
        updates = [Update(bench.deals.object, id_, {bench.managed: f"for {id_}"}) for id_ in filled]
        updates[2] = Update(bench.deals.object, filled[2], {field_: value})
        updates[9] = Update(bench.deals.object, filled[9], {field_: value, bench.other: "lost with the bad one"})
        updates.append(Update(bench.deals.object, bench.unknown, {bench.managed: "nobody"}))
        results = list(crm.write(updates))
        assert sorted(result.id for result in results) == sorted(update.id for update in updates)
        status = {result.id: result for result in results}
        for id_ in (filled[2], filled[9]):
            assert status[id_].status == "rejected"
            assert (status[id_].code or "").startswith("SC-E12")
            assert status[id_].crm_code
            assert str(value) not in (status[id_].message or "")
        assert status[filled[4]].status == status[bench.unknown].status == "gone"
        written = {id_ for id_ in filled if id_ not in (filled[2], filled[4], filled[9])}
        assert {id_ for id_, result in status.items() if result.status == "written"} == written
        truth = bench.truth(bench.managed)
        assert {id_: truth[id_] for id_ in truth if truth[id_]} == {id_: f"for {id_}" for id_ in written}
        assert set(bench.truth(bench.other).values()) == {None}

    def test_null_clears_and_what_is_not_named_stays(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        names = bench.truth(bench.name)
        first = {bench.managed: "to be cleared", bench.other: "to stay"}
        assert [r.status for r in crm.write([Update(bench.deals.object, filled[0], first)])] == ["written"]
        assert [r.status for r in crm.write([Update(bench.deals.object, filled[0], {bench.managed: None})])] == ["written"]
        assert bench.truth(bench.managed)[filled[0]] is None
        assert bench.truth(bench.other)[filled[0]] == "to stay"
        assert bench.truth(bench.name) == names

    def test_what_was_written_comes_back_with_the_next_fetch(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        list(crm.write([Update(bench.deals.object, filled[0], {bench.managed: "Nächster Schritt: VAC"})]))
        found = crm.fetch(bench.deals.object, filled[:1], (bench.managed,))
        assert found[filled[0]].values[bench.managed] == "Nächster Schritt: VAC"

    def test_no_updates_no_calls(self, crm: Crm, bench: Bench) -> None:
        assert list(crm.write([])) == []
        assert crm.meter.calls == 0

    # -- always ----------------------------------------------------------------------------------------------------

    def test_every_error_is_one_of_ours(self, bench: Bench) -> None:
        window = Window(None, datetime.fromisoformat("2026-11-20T18:00:00+00:00"))
        attempts: list[Callable[[Crm], object]] = [
            lambda crm: crm.check(),
            lambda crm: crm.discover(bench.deals.object),
            lambda crm: crm.pipelines(),
            lambda crm: list(crm.read(bench.deals, window)),
            lambda crm: crm.fetch(bench.deals.object, ["x"], (bench.name,)),
            lambda crm: crm.count(bench.deals),
            lambda crm: list(crm.ids(bench.deals)),
        ]
        for attempt in attempts:
            crm = bench.unreachable()
            with pytest.raises(ConnectorError):
                attempt(crm)
            crm.close()

    def test_a_push_into_silence_defers_every_update(self, bench: Bench, filled: list[str]) -> None:
        crm = bench.unreachable()
        try:
            results = list(crm.write([Update(bench.deals.object, id_, {bench.managed: "x"}) for id_ in filled]))
        except ConnectorError:
            results = []
        crm.close()
        assert results == [] or [r.status for r in results] == ["deferred"] * MANY
        assert set(bench.truth(bench.managed).values()) == {None}

    def test_free_text_is_never_asked_for(self, crm: Crm, bench: Bench, filled: list[str]) -> None:
        held = Held()
        held.pull(crm, bench.deals)
        bench.wait(900)
        held.pull(crm, bench.deals)
        crm.fetch(bench.deals.object, filled, (bench.name,))
        list(crm.write([Update(bench.deals.object, filled[0], {bench.managed: "x"})]))
        asked = bench.requested()
        assert bench.name in asked
        assert bench.denied not in asked
        assert bench.foreign not in asked

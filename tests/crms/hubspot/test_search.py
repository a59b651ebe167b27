"""Searching past 10,000, inside one millisecond, in an index that lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter, StreamSpec
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.search import CROWD, RESTART_AT, Search
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import version_text
from connector.errors import NoProgress
from connector.sandbox.hubspot.portal import Portal
from tests.crms.hubspot.portals import BEGIN, World
from tests.crms.scripted import Answer, Asked, Server, serving

TASKS = StreamSpec("tasks", "tasks", ("hs_timestamp", "hs_task_status"))
AT = 1_795_153_800_000
MANY = 10_250


def fill(portal: Portal, count: int) -> set[str]:
    return {portal.create("tasks", {"hs_timestamp": "2026-11-20T10:00:00Z", "hs_task_status": "NOT_STARTED"}).id for _ in range(count)}


@pytest.mark.parametrize("as_text", [False, True], ids=["ids-as-numbers", "ids-as-text"])
def test_more_than_10000_in_one_millisecond_are_all_read(world: World, as_text: bool) -> None:
    world.portal.ids_as_text = as_text
    made = fill(world.portal, MANY)
    world.wait(hours=2)
    made |= fill(world.portal, 3)
    world.wait(hours=1)
    records = world.pull(TASKS)
    assert len(records) == MANY + 3
    assert {record.id for record in records} == made
    assert sum(call.endswith("/search") for call in world.calls()) < 2 * MANY / 200


@pytest.mark.parametrize("as_text", [False, True], ids=["ids-as-numbers", "ids-as-text"])
def test_ids_of_different_lengths_in_one_millisecond_are_all_read(world: World, as_text: bool) -> None:
    world.portal.ids_as_text = as_text
    world.portal.next_id["tasks"] = 99_999_400  # the ids grow by a digit on the way
    made = fill(world.portal, 1_500)
    world.wait(hours=1)
    records = world.pull(TASKS)
    assert len(records) == 1_500
    assert {record.id for record in records} == made


def test_a_drain_that_was_killed_goes_on_where_it_was(world: World) -> None:
    made = fill(world.portal, 4_500)
    world.wait(hours=2)
    first = world.pull(TASKS, pages=3)
    assert world.bookmark is not None
    assert int(world.bookmark["drained"]) > 0
    second = world.pull(TASKS)
    assert {record.id for record in (*first, *second)} == made
    assert len(first) + len(second) <= 4_500 + 1_000  # at most one page twice


def test_beyond_10000_spread_over_time_is_not_dropped(world: World) -> None:
    """And no query ever asks beyond the ten-thousandth result (pitfall: the offset stays below the cap)."""
    made: set[str] = set()
    for _ in range(21):
        made |= fill(world.portal, 490)
        world.wait(milliseconds=7)
    world.wait(hours=1)
    records = world.pull(TASKS)
    assert {record.id for record in records} == made
    assert len(records) == len(made) == 10_290
    bodies = [json.loads(call.partition("/search")[2]) for call in world.house.asked if "/search" in call]
    assert 9_000 < max(int(body["after"]) + body["limit"] for body in bodies) <= 10_000
    assert len(bodies) < 60


class Index:
    """A search endpoint with hand-written results; ``trick`` spoils an answer."""

    def __init__(self, stamps: list[int]) -> None:
        self.rows = [(stamp, 1_000 + n) for n, stamp in enumerate(stamps)]
        self.bodies: list[dict[str, Any]] = []
        self.after_first: list[tuple[int, int]] | None = None
        self.unsorted = False
        self.endless = False

    def answer(self, asked: Asked) -> Answer:
        body = asked.json
        self.bodies.append(body)
        if len(self.bodies) == 2 and self.after_first is not None:
            self.rows = self.after_first
        filters = {(f["propertyName"], f["operator"]): int(f["value"]) for f in body["filterGroups"][0]["filters"]}
        low, high = filters[("hs_lastmodifieddate", "GTE")], filters[("hs_lastmodifieddate", "LT")]
        rows = [row for row in self.rows if low <= row[0] < high]
        rows.sort(key=lambda row: -row[1] if self.unsorted else row[0])
        offset, limit = int(body["after"]), body["limit"]
        page = rows[offset : offset + limit]
        results = [{"id": str(id_), "properties": {"hs_lastmodifieddate": version_text(stamp)}} for stamp, id_ in page]
        told: dict[str, Any] = {"total": len(rows), "results": results}
        if offset + limit < len(rows) or self.endless:
            told["paging"] = {"next": {"after": str(offset + limit)}}
        return Answer(told)


@contextmanager
def searching(index: Index) -> Iterator[tuple[Search, Server]]:
    with serving(index.answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        try:
            yield Search(transport, "deals", ["amount"]), server
        finally:
            transport.close()


def found(search: Search) -> list[str]:
    return [hit.id for part in search.changed(AT, AT + 10**9) for hit in part.hits]


def test_sort_sent_as_objects_and_verified() -> None:
    index = Index([AT + n for n in range(450)])
    with searching(index) as (search, _):
        assert len(found(search)) == 450
    assert all(body["sorts"] == [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}] for body in index.bodies)
    index.unsorted = True
    with searching(index) as (search, _), pytest.raises(NoProgress, match="not sorted"):
        found(search)


def test_a_record_that_leaves_the_window_hides_nobody() -> None:
    """Between two pages one of the first 200 changes and moves out: the 201st would be stepped over by offset."""
    index = Index([AT + n for n in range(450)])
    index.after_first = index.rows[1:]
    with searching(index) as (search, _):
        assert sorted(map(int, found(search))) == list(range(1_000, 1_450))


def test_late_entries_of_the_index_are_no_disorder() -> None:
    """Between two pages older entries appear: everything after them comes a second time, and nothing is lost by it."""
    index = Index([AT + 10 * n for n in range(450)])
    index.after_first = [(AT + 5, 9_001), (AT + 15, 9_002), (AT + 25, 9_003), *index.rows]
    with searching(index) as (search, _):
        assert sorted(set(map(int, found(search)))) == list(range(1_000, 1_450))


def test_short_page_with_next_is_not_the_end() -> None:
    """Pages of 200, 3, 0 and 5 records: only a page without ``paging`` is the last."""
    index = Index([AT + n for n in range(208)])
    sizes = iter([(0, 200), (200, 203), (203, 203), (203, 208)])

    def answer(asked: Asked) -> Answer:
        index.bodies.append(asked.json)
        start, end = next(sizes)
        results = [{"id": str(id_), "properties": {"hs_lastmodifieddate": version_text(stamp)}} for stamp, id_ in index.rows[start:end]]
        more = {} if end == 208 else {"paging": {"next": {"after": str(200 * len(index.bodies)), "link": "https://elsewhere.example.com"}}}
        return Answer({"total": 208, "results": results, **more})

    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        assert len(found(Search(transport, "deals", []))) == 208
        transport.close()
    assert [body["after"] for body in index.bodies] == ["0", "200", "400", "600"]


def test_the_same_page_for_ever_whatever_is_asked_stops() -> None:
    rows = [{"id": str(n), "properties": {"hs_lastmodifieddate": version_text(AT + n)}} for n in range(200)]

    def answer(asked: Asked) -> Answer:
        return Answer({"total": 5_000, "results": rows, "paging": {"next": {"after": str(int(asked.json["after"]) + 200)}}})

    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        got: list[str] = []
        changed = Search(transport, "deals", []).changed(AT, AT + 10**9)
        with pytest.raises(NoProgress) as caught:
            got.extend(hit.id for part in changed for hit in part.hits)
        transport.close()
    assert caught.value.code == "SC-E074"
    assert len(got) == len(set(got)) == 200
    assert len(server.asked) <= 10


def test_ghosts_that_vanish_between_two_pages_are_no_standstill() -> None:
    """A page of entries that are gone, then the index forgets them: the query is asked once more, and the rest is found."""
    index = Index([AT + n for n in range(300)])
    asked_before = []

    def answer(asked: Asked) -> Answer:
        asked_before.append(asked.json)
        if len(asked_before) == 1:
            return Answer({"total": 500, "results": [], "paging": {"next": {"after": "200"}}})
        return index.answer(asked)

    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        assert sorted(map(int, found(Search(transport, "deals", [])))) == list(range(1_000, 1_300))
        transport.close()


def test_promises_of_more_pages_without_records_stop() -> None:
    index = Index([])
    index.endless = True
    with searching(index) as (search, _), pytest.raises(NoProgress) as caught:
        found(search)
    assert caught.value.code == "SC-E074"
    assert len(index.bodies) <= RESTART_AT // 200 + 1


def test_a_page_that_comes_again_stops() -> None:
    body = {"total": 500, "results": [], "paging": {"next": {"after": "0"}}}
    with serving(lambda asked: Answer(json.dumps(body))) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        with pytest.raises(NoProgress):
            found(Search(transport, "deals", []))
        transport.close()
    assert len(server.asked) == 1


def test_ghosts_in_total_end_the_query() -> None:
    with serving(lambda asked: Answer({"total": 3, "results": []})) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        assert found(Search(transport, "deals", [])) == []
        transport.close()
    assert len(server.asked) == 1


def test_a_crowd_smaller_than_a_query_is_read_once(world: World) -> None:
    made = fill(world.portal, CROWD + 200)
    world.wait(hours=1)
    records = world.pull(TASKS)
    assert len(records) == len(made)
    assert {record.id for record in records} == made


def test_total_reconciles_with_the_list(world: World) -> None:
    made = fill(world.portal, 777)
    world.wait(hours=1)
    assert len(world.pull(TASKS)) == len(world.portal.live["tasks"]) == len(made)

"""Calls side by side: in order, bounded, ended by a failure; and what is gained by it, counted over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Meter
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.associations import read_all_links
from connector.crms.hubspot.parallel import in_order, in_pieces
from connector.crms.hubspot.records import read_batch
from connector.crms.hubspot.transport import Transport
from connector.errors import MissingScope, SettingsError, TooLarge, Transient
from tests.crms.hubspot.portals import BEGIN
from tests.crms.scripted import Answer, Asked, serving

IDS = [str(n) for n in range(1, 1_001)]


class Room:
    """Counts who is inside at once; ``together``: nobody leaves before so many were inside at one time."""

    def __init__(self, together: int = 1) -> None:
        self.inside = self.most = 0
        self._lock = threading.Lock()
        self._met = threading.Barrier(together)

    def visit(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self._met.wait(timeout=10)
        with self._lock:
            self.inside -= 1


@pytest.mark.parametrize(("questions", "at_once", "together"), [(24, 6, 6), (24, 1, 1), (1, 6, 1), (4, 6, 4), (0, 6, 1)])
def test_answers_keep_their_places_and_no_more_are_under_way_than_allowed(questions: int, at_once: int, together: int) -> None:
    room = Room(together)

    def ask(question: int) -> int:
        room.visit()
        return question * question

    assert in_order(range(questions), ask, at_once) == [n * n for n in range(questions)]
    assert room.most == (together if questions else 0)


def test_a_failure_ends_it_and_the_first_one_is_told() -> None:
    asked: list[int] = []

    def ask(question: int) -> int:
        asked.append(question)
        if question in (3, 4):
            raise Transient(f"question {question}")
        if question > 4:
            time.sleep(0.001)
        return question

    with pytest.raises(Transient, match=r"question [34]"):
        in_order(range(500), ask, 2)
    assert len(asked) < 100


@pytest.mark.parametrize("at_once", [1, 4])
def test_pieces_too_large_are_halved_in_place(at_once: int) -> None:
    asked: list[int] = []

    def ask(piece: Sequence[str]) -> list[str]:
        asked.append(len(piece))
        if len(piece) > 30:
            raise TooLarge("too large")
        return list(piece)

    assert in_pieces(IDS[:130], 100, ask, at_once) == IDS[:130]
    assert sorted(asked) == [25, 25, 25, 25, 30, 50, 50, 100]
    with pytest.raises(TooLarge):
        in_pieces(IDS[:3], 100, lambda piece: ask([*piece, *IDS[:30]]), at_once)


def test_more_at_once_than_the_client_keeps_connections_is_refused() -> None:
    for wrong in (0, 9):
        with pytest.raises(SettingsError, match="parallel"):
            HubSpotSettings(token="key", parallel=wrong)


def reads(answer: Callable[[Asked], Answer], ids: Sequence[str] = IDS, **settings: Any) -> Any:
    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url, **settings), FixedClock(BEGIN), Meter())
        try:
            return read_batch(transport, "deals", ids, ["dealname"], ["dealstage"]), transport.meter.calls
        finally:
            transport.close()


def found(asked: Asked) -> Answer:
    return Answer({"results": [{"id": one["id"], "properties": {"dealname": one["id"]}} for one in reversed(asked.json["inputs"])]})


def test_batches_of_history_travel_six_at_a_time_and_come_back_in_order() -> None:
    room = Room()
    told: dict[int, int] = {}

    def answer(asked: Asked) -> Answer:
        room.visit()
        told[int(asked.json["inputs"][0]["id"])] = len(asked.json["inputs"])
        return found(asked)

    (raws, losers), calls = reads(answer)
    assert list(raws) == IDS
    assert losers == {}
    assert calls == 20
    assert set(told.values()) == {50}
    assert room.most <= 6


@pytest.mark.parametrize("parallel", [1, 6])
def test_side_by_side_as_many_calls_are_under_way_at_once_as_may_be(parallel: int) -> None:
    """Nobody is answered before so many have asked, and of the same calls no more are ever under way."""
    room = Room(together=parallel)

    def answer(asked: Asked) -> Answer:
        room.visit()
        return found(asked)

    (raws, _), calls = reads(answer, ids=IDS[:600], parallel=parallel)
    assert list(raws) == IDS[:600]
    assert calls == 12
    assert room.most == parallel


def test_one_batch_that_is_refused_fails_the_page() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.json["inputs"][0]["id"] == "251":
            return Answer({"category": "MISSING_SCOPES", "message": "scope", "context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}, 403)
        return found(asked)

    with pytest.raises(MissingScope, match=r"crm\.objects\.deals\.read"):
        reads(answer)


def test_a_limit_met_by_several_at_once_is_waited_out_by_each() -> None:
    lock, left = threading.Lock(), [5]

    def answer(asked: Asked) -> Answer:
        with lock:
            left[0] -= 1
            limited = left[0] >= 0
        return Answer({"message": "You have reached your ten_secondly_rolling limit."}, 429) if limited else found(asked)

    (raws, _), calls = reads(answer)
    assert list(raws) == IDS
    assert calls == 25


def test_associations_of_two_kinds_are_asked_side_by_side() -> None:
    room = Room(together=2)

    def answer(asked: Asked) -> Answer:
        room.visit()
        to = "7" if "contacts" in asked.path else "9"
        return Answer({"results": [{"from": {"id": one["id"]}, "to": [{"toObjectId": to}]} for one in asked.json["inputs"]]})

    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        links = read_all_links(transport, "deals", ("companies", "contacts"), IDS)
        transport.close()
    assert list(links) == ["companies", "contacts"]
    assert {link.id for of in links["contacts"].values() for link in of} == {"7"}
    assert {link.id for of in links["companies"].values() for link in of} == {"9"}
    assert len(server.asked) == 2

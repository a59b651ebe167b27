"""Associations and batch reads against answers made by hand: halving, silence, faults inside a 207."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connector.clock import FixedClock
from connector.crms.base import Link, Meter
from connector.crms.hubspot import HubSpotSettings
from connector.crms.hubspot.associations import read_links
from connector.crms.hubspot.records import read_batch
from connector.crms.hubspot.transport import Transport
from connector.errors import NoProgress, TooLarge, Transient
from tests.crms.hubspot.portals import BEGIN
from tests.crms.scripted import Answer, Asked, Server, serving

IDS = [str(n) for n in range(1, 201)]


@contextmanager
def asking(answer: Callable[[Asked], Answer]) -> Iterator[tuple[Transport, Server]]:
    with serving(answer) as server:
        transport = Transport(HubSpotSettings(token="key", base_url=server.url), FixedClock(BEGIN), Meter())
        try:
            yield transport, server
        finally:
            transport.close()


def linked(id_: str, to: list[Any], after: str | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"from": {"id": id_}, "to": to}
    return told | ({"paging": {"next": {"after": after}}} if after else {})


def none(id_: str) -> dict[str, Any]:
    sub = "crm.associations.NO_ASSOCIATIONS_FOUND"
    return {"category": "OBJECT_NOT_FOUND", "subCategory": sub, "context": {"fromObjectId": [id_]}}


def test_a_timeout_on_many_ids_halves_them() -> None:
    def answer(asked: Asked) -> Answer:
        ids = [one["id"] for one in asked.json["inputs"]]
        return Answer("", 504) if len(ids) > 60 else Answer({"results": [linked(id_, [{"toObjectId": 7 + int(id_)}]) for id_ in ids]})

    with asking(answer) as (transport, server):
        told = read_links(transport, "deals", "contacts", IDS)
    assert told == {id_: (Link(str(7 + int(id_))),) for id_ in IDS}  # v4 numbers and dated text are one id
    assert len(server.asked) <= 7


def test_one_id_too_large_is_an_error() -> None:
    with asking(lambda asked: Answer("", 413)) as (transport, _):
        with pytest.raises(TooLarge):
            read_links(transport, "deals", "contacts", IDS)
        with pytest.raises(TooLarge):
            read_batch(transport, "deals", IDS, ["dealname"])


def test_empty_is_what_is_said_to_be_empty() -> None:
    with asking(lambda asked: Answer({"results": [linked("1", [])], "errors": [none("2")]}, 207)) as (transport, server):
        assert read_links(transport, "deals", "contacts", ["1", "2"]) == {"1": (), "2": ()}
        assert len(server.asked) == 1
        with pytest.raises(Transient, match="no answer for 1 records"):
            read_links(transport, "deals", "contacts", ["1", "3"])


def test_another_fault_inside_a_207_is_a_failed_call() -> None:
    fault = {"category": "OBJECT_NOT_FOUND", "message": "no such type", "context": {}}
    with asking(lambda asked: Answer({"results": [linked("1", [])], "errors": [fault]}, 207)) as (transport, _), pytest.raises(Transient):
        read_links(transport, "deals", "contacts", ["1", "2"])
    fault = {"category": "INTERNAL", "message": "try later"}
    with asking(lambda asked: Answer({"results": [], "errors": [fault]}, 207)) as (transport, _), pytest.raises(Transient):
        read_batch(transport, "deals", ["1"], ["dealname"])


def test_the_same_page_twice_stops() -> None:
    with asking(lambda asked: Answer({"results": [linked("1", [{"toObjectId": "2"}], "MTAw")]})) as (transport, server), pytest.raises(NoProgress):
        read_links(transport, "deals", "contacts", ["1"])
    assert len(server.asked) == 2


def test_a_batch_read_that_times_out_is_halved_and_aliases_are_resolved() -> None:
    """Id 3 answers as 900, and nothing in the survivor says so: only asked alone it can be told."""

    def answer(asked: Asked) -> Answer:
        ids = [one["id"] for one in asked.json["inputs"]]
        if len(ids) > 25:
            return Answer("", 504)
        return Answer({"results": [{"id": "900" if id_ == "3" else id_, "properties": {"dealname": id_}} for id_ in reversed(ids)]})

    with asking(answer) as (transport, server):
        raws, losers = read_batch(transport, "deals", IDS[:100], ["dealname"])
    assert list(raws) == [id_ for id_ in IDS[:100] if id_ != "3"]
    assert losers == {"3": "900"}
    assert sum(len(asked.json["inputs"]) == 1 for asked in server.asked) == 1

"""Streams without stamps: owners, read whole each time, and the contacts of deals, swept once a day (open deals) and once a week (all)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from connector.clock import parse_instant
from connector.crms.base import Page, Record, StreamSpec, Value, Window
from connector.crms.hubspot.associations import BATCH, read_all_links
from connector.crms.hubspot.lists import cursor
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, instant, millis, version_text
from connector.errors import CrmConfigError, NoProgress

OWNERS_PAGE = 100
DONE, ALL, BEGUN, AFTER = "swept", "swept_all", "begun", "after"


def owners(transport: Transport, spec: StreamSpec, window: Window) -> Iterator[Page]:
    """All owners, active and archived, on one page a call. ``values``: the fields asked for, and ``archived``.

    Raises CrmConfigError for a field that owners do not have.
    """
    bookmark = {DONE: str(millis(window.until))}
    for raws in owner_pages(transport):
        yield Page(tuple(_owner(raw, spec) for raw in raws), bookmark)
    yield Page((), bookmark)


def owner_pages(transport: Transport) -> Iterator[list[Raw]]:
    """Pages of owners, the active ones first, then the archived. Raises NoProgress where a cursor comes twice."""
    path = f"/crm/owners/{transport.settings.api_version}"
    for archived in ("false", "true"):
        after: str | None = None
        while True:
            query = [("limit", str(OWNERS_PAGE)), ("archived", archived), *([("after", after)] if after else [])]
            answer = transport.get(path, query).body
            yield list(answer["results"])
            following = cursor(answer)
            if following is None:
                break
            if following == after:
                raise NoProgress("owners: the list gave the same cursor twice")
            after = following


OPTIONAL = frozenset({"id", "email", "type", "firstName", "lastName", "userId", "userIdIncludingInactive", "archived", "createdAt", "updatedAt"})


def _owner(raw: Raw, spec: StreamSpec) -> Record:
    unknown = sorted(name for name in spec.fields if name not in raw and name not in OPTIONAL)
    if unknown:
        raise CrmConfigError(f"owners have no {', '.join(unknown)}")
    values: dict[str, Value] = {name: raw.get(name) for name in spec.fields}
    at = millis(parse_instant(str(raw["updatedAt"])))
    return Record(str(raw["id"]), {**values, "archived": bool(raw.get("archived", False))}, version_text(at), instant(at))


def contact_roles(transport: Transport, spec: StreamSpec, window: Window) -> Iterator[Page]:
    """The associations of the open deals, once a day, and of all deals, once a week: they have no date, and changing them moves no stamp.

    One record a deal, without values; ``links`` holds the whole set, so every deal of a page is in ``complete_for``.
    A sweep that was interrupted goes on after the last deal committed.
    """
    held = dict(window.bookmark or {})
    until = millis(window.until)
    settings = transport.settings
    day, week = (span - settings.settle for span in (settings.sweep_every, settings.sweep_all_every))  # a daily run is not punctual
    if AFTER not in held and DONE in held and _since(held[DONE], until) < day:
        yield Page((), held)
        return
    begun, after = held.get(BEGUN, str(until)), held.get(AFTER, "")
    every = _since(held.get(ALL, "0"), int(begun)) >= week
    ids = sorted(id_ for id_ in (window.deal_ids if every else window.open_ids)() if id_ > after)
    last = {name: held[name] for name in (DONE, ALL) if name in held}
    for start in range(0, len(ids), BATCH):
        piece = ids[start : start + BATCH]
        links = read_all_links(transport, spec.object, spec.links, piece)
        records = tuple(Record(id_, {}, links={target: of[id_] for target, of in links.items()}) for id_ in piece)
        yield Page(records, {**last, BEGUN: begun, AFTER: piece[-1]}, complete_for=tuple(piece))
    yield Page((), {DONE: begun, ALL: begun if every else held[ALL]})


def _since(then: str, until: int) -> timedelta:
    return timedelta(milliseconds=until - int(then))

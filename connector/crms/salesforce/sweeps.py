"""What no stamp tells: sets that lose members without a trace, values that are computed when they are looked at.

Read again once a day over the open deals, and once a week over all that the state holds. Bookmark keys: ``swept`` (when the last
sweep was through), ``swept_all`` (when the last one over all deals began), ``sweep_after`` (where one that was cut goes on).

``getDeleted`` is not asked. Deletes come with every window (queryAll); what was purged from the bin since is found by the ids (see
Crm.ids), however long ago: getDeleted reaches back 15 days, forgets under load, and lists records that are alive (currencies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.clock import parse_instant
from connector.crms.base import Page, Record, StreamSpec, Window
from connector.crms.salesforce import lookup, soql
from connector.crms.salesforce.lookup import Lookup
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.shape import Row, Shape

KEYS = ("swept", "swept_all", "sweep_after")
Records = Callable[[Shape, Sequence[Row]], tuple[Record, ...]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One sweep, or what is left of it. ``deals``: in order, ``open``: which of them are open; ``mark``: the bookmark of the read before it,
    ``until``: that read's end."""

    deals: Sequence[str]
    open: frozenset[str]
    mark: dict[str, str]
    until: datetime

    def chunks(self, size: int) -> Iterator[tuple[Sequence[str], dict[str, str]]]:
        """(deals, the bookmark after them)."""
        for start in range(0, len(self.deals), size):
            chunk = self.deals[start : start + size]
            yield chunk, {**self.mark, "sweep_after": chunk[-1]}

    def done(self) -> Page:
        return Page((), {**self.mark, "swept": soql.literal(self.until)})


Sweep = Callable[[Lookup, Shape, Turn, Records], Iterator[Page]]


def kept(mark: dict[str, str], until: datetime) -> dict[str, str]:
    """What a bookmark says of sweeps. A first read is a sweep itself, over all deals."""
    first = {} if mark else {"swept_all": soql.literal(until)}
    return {"swept": soql.literal(until), **first, **{name: mark[name] for name in KEYS if name in mark}}


def due(window: Window, mark: dict[str, str], settings: SalesforceSettings) -> Turn | None:
    """The sweep that is to be made now, or gone on with: over all deals where that has begun, or is due; None: none is."""
    until, swept = window.until, parse_instant(mark["swept"])
    begun = parse_instant(mark["swept_all"]) if "swept_all" in mark else None
    after = mark.pop("sweep_after", None)
    if after is None and until - swept < settings.sweep_every:
        return None
    every = (begun is not None and begun > swept) if after is not None else (begun is None or until - begun >= settings.sweep_all_every)
    if every and after is None:
        mark["swept_all"] = soql.literal(until)
    open_ = frozenset(map(soql.to18, window.open_ids()))
    deals = sorted(deal for deal in (map(soql.to18, window.deal_ids()) if every else open_) if deal > (after or ""))
    return Turn(deals, open_, mark, until)


def of(stream: StreamSpec) -> Sweep | None:
    """The sweep of a stream, None for one that needs none. Each of its pages is a chunk of deals."""
    if stream.object == "OpportunityContactRole":
        return _roles
    if stream.object == "Opportunity":
        return _deals
    if stream.object == "Account" and stream.refresh:
        return _accounts
    return None


def _roles(lookup_: Lookup, shape: Shape, turn: Turn, records: Records) -> Iterator[Page]:
    """The whole sets of the deals, 300 deals a call: a role that is removed may leave no trace."""
    for chunk, after in turn.chunks(soql.IN_LIST):
        rows = [row for rows in lookup_.by_ids(shape.object, "OpportunityId", chunk, shape.columns) for row in rows]
        yield Page(records(shape, _whole(lookup_, shape, rows)), after, complete_for=tuple(chunk))
    yield turn.done()


def _deals(lookup_: Lookup, shape: Shape, turn: Turn, records: Records) -> Iterator[Page]:
    """The deals by id, 2,000 a call (300 where fields of parents are asked): formulas and fields of parents move no stamp, and a purged
    deal leaves none. Closed deals that are not answered are left to the weekly count, which buries none where too many are gone."""
    size = soql.IN_LIST if any("." in column for column in shape.whole) else lookup.RETRIEVE
    for chunk, after in turn.chunks(size):
        rows = list(lookup_.live(shape.object, chunk, shape.columns))
        found = records(shape, _whole(lookup_, shape, rows))
        there = {record.id for record in found}
        gone = tuple(Record(id=deal, values={}, deleted=True) for deal in chunk if deal in turn.open and deal not in there)
        yield Page(found + gone, after)
    yield turn.done()


def _accounts(lookup_: Lookup, shape: Shape, turn: Turn, records: Records) -> Iterator[Page]:
    """The accounts of the deals, for computed fields of theirs. One that cannot be seen is left as it is."""
    for chunk, after in turn.chunks(lookup.RETRIEVE):
        accounts = {row["AccountId"] for row in lookup_.live("Opportunity", chunk, ("Id", "AccountId")) if row.get("AccountId")}
        rows = list(lookup_.live(shape.object, sorted(accounts), shape.columns))
        yield Page(records(shape, _whole(lookup_, shape, rows)), after)
    yield turn.done()


def _whole(lookup_: Lookup, shape: Shape, rows: list[Row]) -> list[Row]:
    return lookup_.completed(shape, rows) if shape.others else rows

"""Once a day, what no stamp tells: sets that lose members without a trace, values that are computed when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from connector.crms.base import Page, Record, StreamSpec, Window
from connector.crms.salesforce import lookup, soql
from connector.crms.salesforce.lookup import Lookup
from connector.crms.salesforce.shape import Row, Shape

Records = Callable[[Shape, Sequence[Row]], tuple[Record, ...]]
Sweep = Callable[[Lookup, Shape, Window, dict[str, str], Records], Iterator[Page]]


def of(stream: StreamSpec) -> Sweep | None:
    """The sweep of a stream, None for one that needs none. Each of its pages is a chunk of open deals.

    A sweep takes the final bookmark of the read before it, and gives it back with ``swept`` moved to the window's end.
    """
    if stream.object == "OpportunityContactRole":
        return _roles
    if stream.object == "Opportunity":
        return _deals
    if stream.object == "Account" and stream.refresh:
        return _accounts
    return None


def _roles(lookup_: Lookup, shape: Shape, window: Window, mark: dict[str, str], records: Records) -> Iterator[Page]:
    """The whole sets of all open deals, 300 deals a call: a role that is removed may leave no trace."""
    for chunk, after in _chunks(window, mark, soql.IN_LIST):
        rows = [row for rows in lookup_.by_ids(shape.object, "OpportunityId", chunk, shape.columns) for row in rows]
        yield Page(records(shape, _whole(lookup_, shape, rows)), after, complete_for=tuple(chunk))
    yield _done(window, mark)


def _deals(lookup_: Lookup, shape: Shape, window: Window, mark: dict[str, str], records: Records) -> Iterator[Page]:
    """The open deals by id, 2,000 a call (300 where fields of parents are asked): formulas and fields of parents move no stamp,
    and a purged deal leaves none."""
    size = soql.IN_LIST if any("." in column for column in shape.whole) else lookup.RETRIEVE
    for chunk, after in _chunks(window, mark, size):
        rows = list(lookup_.live(shape.object, chunk, shape.columns))
        found = records(shape, _whole(lookup_, shape, rows))
        there = {record.id for record in found}
        gone = tuple(Record(id=deal, values={}, deleted=True) for deal in chunk if deal not in there)
        yield Page(found + gone, after)
    yield _done(window, mark)


def _accounts(lookup_: Lookup, shape: Shape, window: Window, mark: dict[str, str], records: Records) -> Iterator[Page]:
    """The accounts of the open deals, for computed fields of theirs. One that cannot be seen is left as it is."""
    for chunk, after in _chunks(window, mark, lookup.RETRIEVE):
        accounts = {row["AccountId"] for row in lookup_.live("Opportunity", chunk, ("Id", "AccountId")) if row.get("AccountId")}
        rows = list(lookup_.live(shape.object, sorted(accounts), shape.columns))
        yield Page(records(shape, _whole(lookup_, shape, rows)), after)
    yield _done(window, mark)


def _chunks(window: Window, mark: dict[str, str], size: int) -> Iterator[tuple[list[str], dict[str, str]]]:
    """(open deals, the bookmark after them), from the place on where an earlier run was cut off."""
    done = mark.pop("sweep_after", "")
    deals = sorted(deal for deal in map(soql.to18, window.open_ids()) if deal > done)
    for start in range(0, len(deals), size):
        chunk = deals[start : start + size]
        yield chunk, {**mark, "sweep_after": chunk[-1]}


def _done(window: Window, mark: dict[str, str]) -> Page:
    return Page((), {**mark, "swept": soql.literal(window.until)})


def _whole(lookup_: Lookup, shape: Shape, rows: list[Row]) -> list[Row]:
    return lookup_.completed(shape, rows) if shape.others else rows

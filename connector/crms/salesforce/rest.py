"""Reading: records changed in a window, page by page, each page with the bookmark that goes on after it.

Bookmark keys: ``through`` (everything older has been read); inside a window instead ``until`` (where that window ends) and
``from`` (where it begins) or ``stamp`` and ``id`` (the last record read). Daily sweeps add ``swept`` (when the last one began) and ``sweep_after``.
Texts are instants ``2026-11-20T18:00:00Z`` and ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.clock import parse_instant
from connector.crms.base import Bookmark, Page, Record, StreamSpec, Window
from connector.crms.salesforce import soql
from connector.crms.salesforce.faults import UrlTooLong
from connector.crms.salesforce.ranges import Progress, Range
from connector.crms.salesforce.schema import Schema
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.shape import Row, Shape, joined
from connector.crms.salesforce.transport import Client
from connector.errors import CursorExpired, NoProgress, TooLarge, Transient

RETRIEVE = 2_000  # ids a collections read takes
SWEPT = {"OpportunityContactRole": "OpportunityId", "Opportunity": "Id"}  # object → what names the deal


class Reader:
    """The read side of one connection."""

    def __init__(self, client: Client, schema: Schema, settings: SalesforceSettings) -> None:
        self._client = client
        self._schema = schema
        self._settings = settings

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        """See Crm.read. An idle stream costs one call; presence one more for each page with records; the daily sweep one for 300 open deals."""
        shape = Shape(stream, self._schema.known(stream.object))
        mark = dict(window.bookmark or {})
        until = window.until.astimezone(UTC)
        swept = stream.object in SWEPT
        keep: dict[str, str] = {}
        if swept:
            keep = {name: mark[name] for name in ("swept", "sweep_after") if name in mark}
            keep.setdefault("swept", soql.literal(until))  # a first read is a sweep itself
        if "until" in mark:  # a read was cut off: finish its window first, whose end decides what the next one repeats
            for page in self._range(shape, Range.of(mark), keep):
                yield page
                mark = dict(page.bookmark)
        low = parse_instant(mark["through"]) - self._settings.overlap if "through" in mark else None
        yield from self._range(shape, Range(low, until), keep)
        if swept and self._due(keep, until):
            yield from self._sweep(shape, window, {**self._final(until), **keep}, until)

    def _final(self, until: datetime) -> dict[str, str]:
        return {"through": soql.literal(until - self._settings.lag)}

    def _range(self, shape: Shape, whole: Range, keep: Bookmark) -> Iterator[Page]:
        """All pages of one range; the last one carries the final bookmark, even if it is empty."""
        for rows, rest in self._paged(shape, whole, Progress()):
            bookmark = replace(rest, high=whole.high).mark() if rest else self._final(whole.high)
            yield Page(records=self._records(shape, rows), bookmark={**bookmark, **keep})

    def _paged(self, shape: Shape, range_: Range, progress: Progress) -> Iterator[tuple[list[Row], Range | None]]:
        """(rows, what is left of the range; None at its end). Goes on from there when a locator is lost, halves when told to."""
        lost = 0
        while True:
            try:
                for rows, last in self._located(shape, range_):
                    keys = [shape.key_of(row) for row in rows]
                    progress.note(keys, range_.end)
                    range_ = range_.following(keys)
                    lost = 0 if rows else lost
                    if rows or last:
                        yield rows, None if last else range_
                return
            except CursorExpired:
                lost += 1
                if lost > 3:
                    raise NoProgress("the org loses every page cursor before it brings a record") from None
                continue
            except UrlTooLong:
                shape.narrow()
                continue
            except TooLarge:
                first, second = range_.halves()
            for rows, rest in self._paged(shape, first, progress):
                if rows:
                    yield rows, rest or second
            range_ = second

    def _located(self, shape: Shape, range_: Range) -> Iterator[tuple[list[Row], bool]]:
        """The pages of one query, in the session that opened it."""
        query = soql.select(shape.columns, shape.object, range_.where(shape.key), f"{shape.key}, Id")
        if soql.too_long(query):
            raise UrlTooLong("the query is too long")
        answer = self._ask(query)
        session = self._client.session
        visited: set[str] = set()
        while True:
            rows, done = answer["records"], answer["done"]
            if shape.others:
                rows = self._completed(shape, rows)
            yield rows, done
            if done:
                return
            following = answer["nextRecordsUrl"]
            if following in visited:
                raise NoProgress("the org names a page that has been read")
            visited.add(following)
            answer = self._client.get(following, headers=self._options, session=session)

    def _ask(self, query: str, *, deleted: bool = True) -> Any:
        return self._client.get("queryAll" if deleted else "query", params={"q": query}, headers=self._options)

    @property
    def _options(self) -> dict[str, str]:
        return {"Sforce-Query-Options": f"batchSize={self._settings.page_size}"}

    def all_rows(self, query: str, *, deleted: bool = False) -> list[Row]:
        """Every row of a query that is known to be small. A lost locator starts it again."""
        for _ in range(3):
            answer = self._ask(query, deleted=deleted)
            session = self._client.session
            rows = list(answer["records"])
            try:
                while not answer["done"]:
                    answer = self._client.get(answer["nextRecordsUrl"], headers=self._options, session=session)
                    rows += answer["records"]
            except CursorExpired:
                continue
            return rows
        raise Transient("the org lost the page cursor three times")

    def by_ids(self, object_: str, field_: str, ids: Sequence[str], columns: Sequence[str], *, deleted: bool = False) -> Iterator[list[Row]]:
        """Rows whose ``field_`` is one of the ids, 300 ids a query, fewer where many columns make it long."""
        start, size = 0, soql.IN_LIST
        while start < len(ids):
            chunk = ids[start : start + size]
            query = soql.select(columns, object_, f"{soql.name(field_)} IN {soql.literal(chunk)}")
            if soql.too_long(query) and len(chunk) > 1:
                size = len(chunk) // 2
                continue
            yield self.all_rows(query, deleted=deleted)
            start += len(chunk)

    def _completed(self, shape: Shape, rows: list[Row]) -> list[Row]:
        """Rows of a SELECT that had to be split, with the fields of the other parts.

        Parts are joined only where their stamps agree: a record saved in between is asked again in all its parts.
        """
        whole = {row["Id"]: dict(row) for row in rows}
        waiting = list(whole)
        for attempt in range(3):
            moved: set[str] = set()
            parts = shape.others if attempt == 0 else (shape.columns, *shape.others)
            for part in parts:
                found = {row["Id"]: row for chunk in self.by_ids(shape.object, "Id", waiting, part, deleted=True) for row in chunk}
                for identity in waiting:
                    other = found.get(identity)
                    if other is None:
                        whole.pop(identity, None)  # it vanished for good in between
                        continue
                    if part is shape.columns:
                        whole[identity] = dict(other)
                    elif identity not in whole:
                        continue
                    elif other[shape.key] != whole[identity][shape.key]:
                        moved.add(identity)
                    else:
                        whole[identity] = joined(whole[identity], other)
            if not moved:
                return [whole[row["Id"]] for row in rows if row["Id"] in whole]
            waiting = sorted(moved)
        raise Transient("records change faster than their parts can be read")

    def _records(self, shape: Shape, rows: Sequence[Row], among: str | None = None) -> tuple[Record, ...]:
        """Rows as records. ``among``: the condition that found them; None: the stretch of their stamps."""
        if not rows:
            return ()
        stamps = [shape.key_of(row)[0] for row in rows]
        among = among or Range(min(stamps), max(stamps)).where(shape.key)
        filled = {denied: self._filled(shape, denied, among) for denied in shape.presence}
        return tuple(shape.record(row, {n: soql.to18(row["Id"]) in ids for n, ids in filled.items()}) for row in rows)

    def _filled(self, shape: Shape, denied: str, among: str) -> set[str]:
        """Ids of the records whose denied field is not empty; its value is never asked for."""
        query = soql.select(("Id",), shape.object, f"{soql.name(denied)} != null AND {among}")
        return {soql.to18(row["Id"]) for row in self.all_rows(query, deleted=True)}

    def fetch(self, object_: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, Record]:
        """See Crm.fetch. 2,000 ids a call; fields of parents are asked by query, 300 ids a call."""
        shape = Shape(StreamSpec(name="fetch", object=object_, fields=tuple(fields)), self._schema.known(object_))
        asked = {soql.to18(identity): identity for identity in ids}
        found: dict[str, Record] = {}
        for rows in self._retrieved(shape, list(asked)):
            for row in rows:
                record = shape.record(row, {}) if row else None
                if record and not record.deleted and record.id in asked:
                    found[asked[record.id]] = record
        return found

    def _retrieved(self, shape: Shape, ids: Sequence[str]) -> Iterator[list[Row]]:
        if any("." in column for column in shape.columns):
            yield from self.by_ids(shape.object, "Id", ids, shape.columns)
            return
        start, size = 0, RETRIEVE
        while start < len(ids):
            chunk = ids[start : start + size]
            try:
                answer = self._client.json("POST", f"composite/sobjects/{shape.object}", data=orjson.dumps({"ids": chunk, "fields": shape.columns}))
            except TooLarge:
                if len(chunk) == 1:
                    raise
                size = len(chunk) // 2
                continue
            if len(answer) != len(chunk):
                raise Transient(f"asked for {len(chunk)} records, got {len(answer)} answers")
            yield answer
            start += len(chunk)

    def _due(self, keep: Mapping[str, str], until: datetime) -> bool:
        return "sweep_after" in keep or until - parse_instant(keep["swept"]) >= self._settings.sweep_every

    def _sweep(self, shape: Shape, window: Window, mark: dict[str, str], until: datetime) -> Iterator[Page]:
        """Once a day, what no stamp tells. Roles: the whole sets of all open deals, since a removed role may leave no trace.
        Deals: the open ones by id, since formulas and fields of parents move no stamp and a purged deal leaves none.
        A page is a chunk of deals."""
        parent = SWEPT[shape.object]
        done = mark.pop("sweep_after", "")
        deals = sorted(deal for deal in map(soql.to18, window.open_ids()) if deal > done)
        for start in range(0, len(deals), soql.IN_LIST):
            chunk = deals[start : start + soql.IN_LIST]
            rows = [row for rows in self.by_ids(shape.object, parent, chunk, shape.columns) for row in rows]
            if shape.others:
                rows = self._completed(shape, rows)
            records = self._records(shape, rows, f"{parent} IN {soql.literal(chunk)}")
            if parent == "Id":
                there = {record.id for record in records}
                records += tuple(Record(id=deal, values={}, deleted=True) for deal in chunk if deal not in there)
            yield Page(records, {**mark, "sweep_after": chunk[-1]}, complete_for=() if parent == "Id" else tuple(chunk))
        yield Page((), {**mark, "swept": soql.literal(until)})

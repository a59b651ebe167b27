"""Reading: records changed in a window, page by page, each page with the bookmark that goes on after it.

Bookmark keys: ``through`` (everything older has been read); inside a window instead ``until`` (where that window ends) and
``from`` (where it begins) or ``stamp`` and ``id`` (the last record read), or the place in a Bulk job (see bulk), and those of
sweeps (see sweeps). Texts are instants ``2026-11-20T18:00:00Z`` and ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from math import ceil
from urllib.parse import urlencode

from connector.clock import parse_instant
from connector.crms.base import Bookmark, Count, Page, Record, StreamSpec, Version, Window
from connector.crms.salesforce import history, soql, sweeps
from connector.crms.salesforce.bulk import JobLost, Jobs, Place
from connector.crms.salesforce.faults import UrlTooLong
from connector.crms.salesforce.lookup import RETRIEVE, Lookup, ids_at_once
from connector.crms.salesforce.ranges import Progress, Range
from connector.crms.salesforce.schema import Schema
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.shape import Row, Shape
from connector.crms.salesforce.transport import Client
from connector.errors import CursorExpired, NoProgress, TooLarge

RESULT_PAGE = 50_000  # rows that a page of a Bulk job's results holds, roughly
OF_DEALS = ("OpportunityHistory", "OpportunityContactRole")
JOB_CALLS = 12  # counting, making, looking at, listing, deleting a job, and the read that closes the gap


class Reader:
    """The read side of one connection."""

    def __init__(self, client: Client, schema: Schema, settings: SalesforceSettings) -> None:
        self._client = client
        self._schema = schema
        self._settings = settings
        self._lookup = Lookup(client, settings)
        self._jobs = Jobs(client, schema, settings)

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        """See Crm.read. An idle stream costs one call and its description; presence and history more for each page with records.

        A first load or a long window is counted first, and read by a Bulk job if it holds more rows than ``bulk_above``.
        """
        shape = Shape(stream, self._schema.known(stream.object), window.known_versions)
        mark = dict(window.bookmark or {})
        until = window.until.astimezone(UTC)
        sweep = sweeps.of(stream)
        keep: dict[str, str] = {}
        if sweep:
            keep = sweeps.kept(mark, until)
        if "until" in mark:  # a read was cut off: finish its window first, whose end decides what the next one repeats
            for page in self._cut(shape, mark, keep):
                yield page
                mark = dict(page.bookmark)
        low = parse_instant(mark["through"]) - self._settings.overlap if "through" in mark else None
        yield from self._window(shape, Range(low, until), keep)
        if sweep:
            final = {"through": soql.literal(until - self._settings.lag), **keep}
            turn = sweeps.due(window, final, self._settings)
            yield from sweep(self._lookup, shape, turn, self._known) if turn else ()

    # -- one window ----------------------------------------------------------------------------------------------------

    def _window(self, shape: Shape, range_: Range, keep: Bookmark) -> Iterator[Page]:
        return self._bulk(shape, range_, keep, None) if self._is_many(shape, range_) else self._range(shape, range_, keep)

    def _cut(self, shape: Shape, mark: Bookmark, keep: Bookmark) -> Iterator[Page]:
        """The rest of a window whose read was cut off."""
        range_, place = Range.of(mark), Place.of(mark)
        if place is not None:
            return self._bulk(shape, range_, keep, place)
        return self._range(shape, range_, keep) if range_.after else self._window(shape, range_, keep)

    def _is_many(self, shape: Shape, range_: Range) -> bool:
        """Whether a window goes to Bulk. Only one that can be large is counted: an idle stream pays for no count."""
        most = self._settings.bulk_above
        if most is None or (range_.low is not None and range_.high - range_.low < self._settings.count_from):
            return False
        try:
            return self._lookup.count(shape.object, range_.where(shape.key)) > most
        except TooLarge:
            return True

    def _bulk(self, shape: Shape, range_: Range, keep: Bookmark, place: Place | None) -> Iterator[Page]:
        """A window by a Bulk job, then what was saved while it ran. Its bookmark names the job and the place in its results.

        A job that the org refuses or cannot finish is replaced by REST, still over deleted rows. One that has gone since the last run
        is decided upon anew.
        """
        resumed = place is not None
        since = f"{shape.key} >= {soql.literal(range_.low)}" if range_.low else ""
        try:
            if place is None:
                place = self._jobs.start(soql.select(shape.whole, shape.object, since))
                yield Page((), {**range_.mark(), **place.mark(), **keep})
            self._jobs.wait(place)
            filled: dict[str, set[str]] = {}
            for denied in shape.presence:
                query = soql.select(("Id",), shape.object, f"{soql.name(denied)} != null" + (f" AND {since}" if since else ""))
                filled[denied] = {identity for ids in self._jobs.ids(query, shape.object) for identity in ids}
            for rows, after in self._jobs.pages(place, shape.whole, shape.object):
                yield Page(self._made(shape, rows, filled), {**range_.mark(), **after.mark(), **keep})
        except JobLost:
            if place is not None:
                self._jobs.delete(place)
            yield from self._window(shape, range_, keep) if resumed else self._range(shape, range_, keep)
            return
        self._jobs.delete(place)
        meanwhile = Range(range_.high - self._settings.overlap - self._settings.lag, max(range_.high, self._client.heard))
        yield from self._range(shape, meanwhile, keep)

    def _range(self, shape: Shape, whole: Range, keep: Bookmark) -> Iterator[Page]:
        """All pages of one range by REST; the last one carries the final bookmark, even if it is empty."""
        for rows, rest in self._paged(shape, whole, Progress()):
            bookmark = replace(rest, high=whole.high).mark() if rest else {"through": soql.literal(whole.high - self._settings.lag)}
            yield Page(records=self._records(shape, rows), bookmark={**bookmark, **keep})

    def _paged(self, shape: Shape, range_: Range, progress: Progress) -> Iterator[tuple[list[Row], Range | None]]:
        """(rows, what is left of the range; None at its end). Goes on from there when a locator is lost, halves when told to."""
        lost = 0
        while True:
            try:
                for rows, last in self._located(shape, range_):
                    keys = [shape.key_of(row) for row in rows]
                    lost = 0 if progress.note(keys, range_.end) else lost
                    range_ = range_.following(keys)
                    if rows or last:
                        yield rows, None if last else range_
                return
            except CursorExpired:
                lost += 1
                if lost > 3:
                    raise NoProgress("the org loses every page cursor before it brings a record") from None
                progress.restart()
                continue
            except UrlTooLong:
                shape.narrow()
                continue
            except TooLarge:
                progress.restart()
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
        answer = self._lookup.ask(query)
        session = self._client.session
        visited: set[str] = set()
        while True:
            rows, done = answer["records"], answer["done"]
            if shape.others:
                rows = self._lookup.completed(shape, rows)
            yield rows, done
            if done:
                return
            following = answer["nextRecordsUrl"]
            if following in visited:
                raise NoProgress("the org names a page that has been read")
            visited.add(following)
            answer = self._client.page(following, headers=self._lookup.options, session=session)

    # -- rows as records -----------------------------------------------------------------------------------------------

    def _records(self, shape: Shape, rows: Sequence[Row]) -> tuple[Record, ...]:
        """The rows of a page as records, with what is asked about them beside their columns."""
        if not rows:
            return ()
        return self._made(shape, rows, {denied: self._filled(shape, denied, rows) for denied in shape.presence})

    def _known(self, shape: Shape, rows: Sequence[Row]) -> tuple[Record, ...]:
        """The same for rows that were asked for by id, in whatever order."""
        return self._made(shape, rows, {denied: self._filled_among(shape, denied, rows) for denied in shape.presence})

    def _made(self, shape: Shape, rows: Sequence[Row], filled: Mapping[str, set[str]]) -> tuple[Record, ...]:
        versions: Mapping[str, Mapping[str, tuple[Version, ...]]] = {}
        if shape.history:
            versions = history.of(self._lookup, self._schema, shape, rows)
        made = []
        for row in rows:
            identity = soql.to18(row["Id"])
            made.append(shape.record(row, {name: identity in ids for name, ids in filled.items()}, versions.get(identity)))
        return tuple(made)

    def _filled(self, shape: Shape, denied: str, rows: Sequence[Row]) -> set[str]:
        """Ids of the records of a page whose denied field is not empty; its value is never asked for."""
        among = Range.of_page([shape.key_of(row) for row in rows], shape.key)
        try:
            found = self._lookup.all_rows(soql.select(("Id",), shape.object, f"{soql.name(denied)} != null AND {among}"), deleted=True)
        except TooLarge:
            return self._filled_among(shape, denied, rows)
        return {soql.to18(row["Id"]) for row in found}

    def _filled_among(self, shape: Shape, denied: str, rows: Sequence[Row]) -> set[str]:
        condition, ids = f"{soql.name(denied)} != null", [row["Id"] for row in rows]
        chunks = self._lookup.by_ids(shape.object, "Id", ids, ("Id",), deleted=True, also=condition)
        return {soql.to18(row["Id"]) for chunk in chunks for row in chunk}

    # -- known records, counts -----------------------------------------------------------------------------------------

    def fetch(self, object_: str, ids: Sequence[str], fields: Sequence[str], key_field: str | None = None) -> dict[str, Record]:
        """See Crm.fetch. 2,000 ids a call; fields of parents, and keys, are asked by query, 300 a call."""
        if key_field is not None:
            return self._by_key(object_, ids, fields, key_field)
        shape = Shape(StreamSpec(name="fetch", object=object_, fields=tuple(fields)), self._schema.known(object_))
        asked = {soql.to18(identity): identity for identity in ids}
        found: dict[str, Record] = {}
        for row in self._lookup.live(shape.object, list(asked), shape.columns):
            record = shape.record(row, {})
            if not record.deleted and record.id in asked:
                found[asked[record.id]] = record
        return found

    def fetch_cost(self, object_: str, records: int, fields: Sequence[str], *, keyed: bool = False) -> int:
        """Calls of :meth:`fetch`, once the object is described."""
        return ceil(records / ids_at_once(object_, fields, keyed=keyed))

    def _by_key(self, object_: str, keys: Sequence[str], fields: Sequence[str], key_field: str) -> dict[str, Record]:
        """Live records by their key, letters of either case alike, as the org's own index has it."""
        shape = Shape(StreamSpec(name="fetch", object=object_, fields=tuple(dict.fromkeys((key_field, *fields)))), self._schema.known(object_))
        asked = {key.casefold(): key for key in keys}
        found: dict[str, Record] = {}
        for rows in self._lookup.by_ids(shape.object, key_field, list(keys), shape.columns):
            for row in rows:
                record = shape.record(row, {})
                found[asked[str(record.values[key_field]).casefold()]] = record
        return found

    def again(self, stream: StreamSpec, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
        """See Crm.again. 2,000 ids a call; fields of parents and what belongs to deals are asked by query, 300 ids a call."""
        shape = Shape(stream, self._schema.known(stream.object))
        if stream.object in OF_DEALS:
            chunks = self._lookup.by_ids(shape.object, "OpportunityId", ids, shape.columns)
        else:
            pieces = (ids[start : start + RETRIEVE] for start in range(0, len(ids), RETRIEVE))
            chunks = (list(self._lookup.live(shape.object, piece, shape.columns)) for piece in pieces)
        for rows in chunks:
            yield self._known(shape, self._lookup.completed(shape, rows) if shape.others else rows)

    def count(self, stream: StreamSpec) -> Count | None:
        """See Crm.count: two calls, archived activities included; None where the org cannot count so many."""
        try:
            if not self._schema.known(stream.object).has("IsDeleted"):
                return Count(self._lookup.count(stream.object))
            live, deleted = (self._lookup.count(stream.object, f"IsDeleted = {flag}") for flag in ("false", "true"))
        except TooLarge:
            return None
        return Count(live, deleted)

    def ids(self, stream: StreamSpec) -> Iterator[Sequence[str]]:
        """See Crm.ids: by REST in the order of ids, by a Bulk job above ``bulk_above`` (the first answer tells how many there are)."""
        live = "IsDeleted = false" if self._schema.known(stream.object).has("IsDeleted") else ""
        try:
            yield from self._ids_by_rest(stream.object, live)
            return
        except TooLarge:
            pass
        try:
            yield from self._jobs.ids(soql.select(("Id",), stream.object, live), stream.object)
        except JobLost:  # what was brought is brought again: a set of ids does not mind
            yield from self._ids_by_rest(stream.object, live, bulk=False)

    def _ids_by_rest(self, object_: str, live: str, *, bulk: bool = True) -> Iterator[list[str]]:
        """Raises TooLarge before the first id where a job should bring them (``bulk``)."""
        last, lost = "", 0
        while True:
            after = f"Id > {soql.literal(last)}" if last else ""
            answer = self._lookup.ask(soql.select(("Id",), object_, " AND ".join(filter(None, (live, after))), "Id"))
            if bulk and not last and self._settings.bulk_above is not None and answer["totalSize"] > self._settings.bulk_above:
                raise TooLarge("so many ids are a bulk job's work")
            session = self._client.session
            try:
                while True:
                    found = [soql.to18(row["Id"]) for row in answer["records"]]
                    if found and found[-1] == last:
                        raise NoProgress("a page brought no id that the page before had not brought")
                    last, lost = (found[-1], 0) if found else (last, lost)
                    yield found
                    if answer["done"]:
                        return
                    answer = self._client.page(answer["nextRecordsUrl"], headers=self._lookup.options, session=session)
            except CursorExpired:
                lost += 1
                if lost > 3:
                    raise NoProgress("the org loses every page cursor before it brings an id") from None

    def cost(self, stream: StreamSpec, records: int) -> int:
        """See Crm.cost: description and query; then by pages or by a job, for each part of a wide selection and each presence."""
        parts = ceil(len(urlencode({"q": soql.names(stream.fields)})) / soql.LONGEST_QUERY) if stream.fields else 1
        if records == 0:
            return 2
        history_calls = ceil(records / soql.IN_LIST) if stream.history else 0
        if self._settings.bulk_above is not None and records > self._settings.bulk_above:
            jobs = 1 + len(stream.presence)
            return 1 + jobs * (JOB_CALLS + ceil(records / RESULT_PAGE)) + history_calls
        pages = ceil(records / self._settings.page_size)
        return 1 + pages * (parts + len(stream.presence)) + history_calls

"""Records changed since an instant, by search: ascending stamps, restarts below the 10,000 cap, one full millisecond by id ranges.

HubSpot answers at most 10,000 results a query and honours one sort field only. A query is therefore restarted from the
last stamp seen (inclusive) at offset 9,800; a millisecond that holds a thousand records and more is drained by ranges of
ids, which needs no assumption about the order of ids inside an answer and can be resumed in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, stamp, stamp_property
from connector.errors import NoProgress, TooLarge

PAGE = 200
RESTART_AT = 9_800
CROWD = 1_000  # records of one millisecond from which it is drained by ids
LONGEST_ID = 16  # digits


@dataclass(frozen=True, slots=True)
class Hit:
    """A record found: its id, its modified date in epoch milliseconds, and what the search said of it."""

    id: str
    stamp: int
    raw: Raw


@dataclass(frozen=True, slots=True)
class Slice:
    """Hits not seen before, and where to go on after them: everything before ``at`` has been seen, and of the instant
    ``at`` itself all ids up to ``drained`` (0: resume with the whole instant)."""

    hits: tuple[Hit, ...]
    at: int
    drained: int = 0


@dataclass(slots=True)
class _Span:
    """Of one query: the last stamp, the ids that carry it, whether the results ended by themselves or moved under our hands."""

    last: int | None = None
    ids: list[int] = field(default_factory=list)
    ended: bool = False
    shrunk: bool = False


class Search:
    """Searches one object type. ``properties``: what each hit carries, unless the CRM calls that too much (``bare``)."""

    def __init__(self, transport: Transport, object: str, properties: Sequence[str]) -> None:
        self._transport = transport
        self._object = object
        self._stamp = stamp_property(object)
        self._path = f"/crm/objects/{transport.settings.api_version}/{object}/search"
        self._limit = min(PAGE, transport.settings.page_size)
        self._least = [self._stamp, "hs_object_id"]
        self._properties = [*dict.fromkeys((*self._least, *properties))]
        self.bare = False  # hits carry their stamp only, and are to be read

    def changed(self, low: int, high: int, drained: int = 0) -> Iterator[Slice]:
        """Slices of everything with ``low <= stamp < high`` in epoch milliseconds, oldest change first, each record once a stamp.

        ``drained``: ids of the instant ``low`` that an earlier run has finished.
        Raises NoProgress (SC-E074) if stamps decrease, offsets do not grow, or a restart brings nothing new.
        """
        seen: dict[str, int] = {}
        if drained:
            yield from self._drain(low, drained + 1, (), seen)
            low += 1
        barren = 0
        while low < high:
            before = len(seen)
            span = _Span()
            yield from self._query(low, high, seen, span)
            if span.ended:
                return
            if span.last is None:  # entries of records that are gone fill a page while the index forgets them: looked at once more
                barren += 1
                if barren > 1 or not span.shrunk:
                    raise NoProgress(f"{self._object}: search promised more pages and gave no record")
                continue
            if len(span.ids) >= CROWD:
                yield from self._drain(span.last, 1, span.ids, seen)
                low = span.last + 1  # safe: that instant is complete
                continue
            barren = barren + 1 if len(seen) == before and span.last <= low else 0
            if barren > 1:
                raise NoProgress(f"{self._object}: search brought no new record twice")
            low = span.last

    def filled(self, name: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of the ids (at most 100) whose property holds something. The value itself never travels."""
        filters = [{"propertyName": name, "operator": "HAS_PROPERTY"}, {"propertyName": "hs_object_id", "operator": "IN", "values": list(ids)}]
        body = {"filterGroups": [{"filters": filters}], "properties": ["hs_object_id"], "limit": PAGE, "after": "0"}
        return frozenset(str(raw["id"]) for raw in self._transport.post(self._path, body).body["results"])

    def total(self) -> int:
        """How many records the index holds, by its own word: entries of records just gone are in it, records just made may not be."""
        body = {"filterGroups": [], "properties": ["hs_object_id"], "limit": 1, "after": "0"}
        return int(self._transport.post(self._path, body).body["total"])

    # -- one query ---------------------------------------------------------------------------------------------------

    def _query(self, low: int, high: int, seen: dict[str, int], span: _Span) -> Iterator[Slice]:
        """Pages of one query until it ends, reaches the cap, or shrinks."""
        filters = [_filter(self._stamp, "GTE", low), _filter(self._stamp, "LT", high)]
        offset, total = 0, -1
        while True:
            answer = self._ask(filters, self._stamp, offset)
            # A record changed meanwhile leaves the window, and every later one moves up by a place: reading on by offset
            # would step over one. A smaller total gives it away; a restart from the last stamp finds it. Late entries of
            # the index push the others down instead: the page then begins before the last stamp, and a restart it is too.
            count = int(answer.get("total", 0))
            if count < total or self._begins_before(answer, span.last):
                span.shrunk = True
                return
            found = self._hits(answer, span)
            new = tuple(hit for hit in found if seen.get(hit.id) != hit.stamp)
            seen.update({hit.id: hit.stamp for hit in new})
            if new:
                yield Slice(new, at=new[-1].stamp)
            following = _next(answer, offset)
            if following is None:
                span.ended = True
                return
            if following >= RESTART_AT or len(span.ids) >= CROWD:
                return
            offset, total = following, count

    def _begins_before(self, answer: Mapping[str, Any], last: int | None) -> bool:
        results = answer["results"]
        return bool(results) and last is not None and stamp(results[0], self._object) < last

    def _hits(self, answer: Mapping[str, Any], span: _Span) -> list[Hit]:
        found = []
        for raw in answer["results"]:
            hit = Hit(str(raw["id"]), stamp(raw, self._object), raw)
            if span.last is not None and hit.stamp < span.last:
                raise NoProgress(f"{self._object}: search is not sorted by {self._stamp}: {hit.stamp} after {span.last}")
            if hit.stamp != span.last:
                span.ids.clear()
            span.last = hit.stamp
            span.ids.append(int(hit.id))
            found.append(hit)
        return found

    def _ask(self, filters: list[dict[str, str]], sort: str, offset: int) -> Mapping[str, Any]:
        while True:
            body = {
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],  # as text it would be ignored without a word
                "properties": self._least if self.bare else self._properties,
                "limit": self._limit,
                "after": str(offset),
            }
            try:
                return self._transport.post(self._path, body).body
            except TooLarge:
                if not self._shrink():
                    raise

    def _shrink(self) -> bool:
        """Ask for less from now on: first without the properties, then half the records a page. False: there is no less."""
        if not self.bare and len(self._properties) > len(self._least):
            self.bare = True
        elif self._limit > 1:
            self._limit //= 2
        else:
            return False
        return True

    # -- one full millisecond ------------------------------------------------------------------------------------------

    def _drain(self, at: int, start: int, sample: Sequence[int], seen: dict[str, int]) -> Iterator[Slice]:
        """Every record of the instant ``at`` with an id from ``start`` on, ascending within one number of digits.

        Ranges of ids stay inside one number of digits, where comparing them as numbers and as text gives the same answer.
        ``sample``: ids of this instant seen already. It tells which number of digits comes first, and how wide to step.
        """
        total = int(self._ask([_filter(self._stamp, "EQ", at)], self._stamp, 0).get("total", 0)) if start == 1 else None
        shortest = len(str(min(sample) if sample else start))
        count = 0
        for digits in (*range(shortest, LONGEST_ID + 1), *range(1, shortest)):
            if total is not None and count >= total:
                return
            low, top = 10 ** (digits - 1), 10**digits - 1
            if digits == len(str(start)):
                low = max(low, start)
            for hits in self._ranges(at, low, top, [i for i in sample if low <= i <= top]):
                yield from self._slices(at, hits, seen)
                count += len(hits)

    def _ranges(self, at: int, low: int, top: int, sample: Sequence[int]) -> Iterator[list[Hit]]:
        """The hits of ``low..top``, range after range: first the gap below the sample, then steps as wide as the sample lies."""
        width = top - low
        if sample:
            width = (min(sample) - 1 if min(sample) > low else max(sample)) - low
        while low <= top:
            end, hits = self._range(at, low, min(low + width, top))
            yield hits
            beyond = [i for i in sample if i > end]
            width = max(beyond) - end - 1 if beyond else max(2 * (end - low), PAGE)
            low, sample = end + 1, ()

    def _range(self, at: int, low: int, end: int) -> tuple[int, list[Hit]]:
        """All hits with ids in ``low..end``, the end halved until they fit one query; answers with the end taken."""
        while True:
            hits = self._take(at, low, end)
            if hits is not None:
                return end, hits
            if end <= low:
                raise NoProgress(f"{self._object}: more than {RESTART_AT} records under one id")
            end = low + (end - low) // 2

    def _take(self, at: int, low: int, end: int) -> list[Hit] | None:
        """The hits of one id range, or None if they do not fit below the cap."""
        filters = [
            _filter(self._stamp, "EQ", at),
            {"propertyName": "hs_object_id", "operator": "BETWEEN", "value": str(low), "highValue": str(end)},
        ]
        found: dict[int, Hit] = {}
        offset = 0
        while True:
            answer = self._ask(filters, "hs_object_id", offset)
            if int(answer.get("total", 0)) > RESTART_AT:
                return None
            for raw in answer["results"]:
                hit = Hit(str(raw["id"]), stamp(raw, self._object), raw)
                if hit.stamp == at and low <= int(hit.id) <= end:
                    found[int(hit.id)] = hit
            following = _next(answer, offset)
            if following is None:
                return [found[key] for key in sorted(found)]
            if following >= RESTART_AT + self._limit:
                return None
            offset = following

    def _slices(self, at: int, hits: list[Hit], seen: dict[str, int]) -> Iterator[Slice]:
        for start in range(0, len(hits), PAGE):
            batch = hits[start : start + PAGE]
            new = tuple(hit for hit in batch if seen.get(hit.id) != hit.stamp)
            seen.update({hit.id: hit.stamp for hit in new})
            yield Slice(new, at, int(batch[-1].id))


def _filter(name: str, operator: str, value: int) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _next(answer: Mapping[str, Any], offset: int) -> int | None:
    """The next offset, None at the end. ``total`` is never trusted for it: it counts entries that are gone."""
    after = ((answer.get("paging") or {}).get("next") or {}).get("after")
    if after is None:
        return None
    if int(after) <= offset:
        raise NoProgress(f"search offset {after} after {offset}")
    return int(after)

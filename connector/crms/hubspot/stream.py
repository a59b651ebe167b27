"""One stream of one object type, read in passes: a first load, then fresh changes, settled changes, archived records, and once a
day the open deals, or what is associated with them, and once a week all deals.

Which way is cheapest for the first load of N records (calls; associations cost N/1,000 per linked object in both):

* with history: list 50 a page carrying history N/50; search 200 a page and batch/read in 50s N/200 + N/50. List wins,
  and it reads the records themselves, not an index that lags.
* without history: list 100 a page N/100; search 200 a page N/200. Search wins.

An idle run costs one search and one list of archived records; so does a run that only meets our own write-back, because
a record whose version the state holds is left out of the fresh pass. The settled pass, once an hour, trusts no version:
it also finds a user's edit that slipped in between our last read of a record and our write.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from connector.clock import parse_instant
from connector.crms.base import Page, Record, StreamSpec, Window
from connector.crms.hubspot.associations import BATCH as LINKS_AT_ONCE
from connector.crms.hubspot.associations import read_links
from connector.crms.hubspot.bookmark import Mark, Pass, read_mark
from connector.crms.hubspot.lists import cursor, find_archived
from connector.crms.hubspot.records import BATCH, BATCH_WITH_HISTORY, Records
from connector.crms.hubspot.search import Hit
from connector.crms.hubspot.transport import Query, Transport
from connector.crms.hubspot.wire import instant, millis, stamp
from connector.errors import NoProgress, TooLarge

LONGEST_QUERY = 4_000  # characters; URLs fail with 414 from about 8,000
SECOND = 1_000
DEALS = "deals"
DEALS_AT_ONCE = 100  # deals whose activities are read between two bookmarks
Pages = Generator[Page, None, Mark]


class Stream:
    """Reads one window of one stream; ``pages`` is all there is to call."""

    def __init__(self, transport: Transport, spec: StreamSpec, window: Window, aliases: dict[str, str]) -> None:
        self._transport = transport
        self._spec = spec
        self._window = window
        self._aliases = aliases
        self._records = Records(transport, spec, aliases)
        self._path = f"/crm/objects/{transport.settings.api_version}/{spec.object}"
        self._until = millis(window.until)
        # The Date header is cut to the second; what changed in the rest of that second is read too.
        self._high = self._until + SECOND
        self._brought: dict[str, int] = {}
        self._page_size = transport.settings.page_size
        self._overlap = _ms(transport.settings.overlap)
        self._lag = _ms(transport.settings.lag)
        self._settle = _ms(transport.settings.settle)

    def pages(self) -> Iterator[Page]:
        """Every page commits with its bookmark; a reader that is killed repeats at most one page. The last is empty.

        A run that goes on after its fresh pass was through reads once more what has changed since.
        """
        mark = read_mark(self._window.bookmark)
        behind = mark.phase in ("settled", "archived", "open") and mark.started < self._until
        for _ in range(2 if behind else 1):
            mark = (yield from self._passes(mark)).finished(self._overlap)
            yield Page((), mark.text())

    def _passes(self, mark: Mark) -> Pages:
        if mark.phase == "done":
            mark = replace(mark, phase="fresh", at=self._from(mark))
        mark = replace(mark, started=mark.started or self._until)
        if mark.phase == "load":
            mark = yield from self._load(mark)
        if mark.phase == "fresh":
            mark = yield from self._fresh(mark)
        if mark.phase == "settled":
            mark = yield from self._settled(mark)
        if mark.phase == "archived":
            mark = yield from self._archived(mark)
        if mark.phase == "open":
            mark = yield from (self._deals(mark) if self._spec.object == DEALS else self._linked_to_deals(mark))
            mark = replace(mark, checked=mark.started, swept=mark.started if self._all_due(mark) else mark.swept, after="")
        return mark

    def _from(self, mark: Mark) -> int:
        """Where the fresh pass begins: five minutes before the bookmark, but not before what has settled."""
        return max(mark.stamp - self._overlap, mark.settled, 0)

    # -- first load ----------------------------------------------------------------------------------------------------

    def _load(self, mark: Mark) -> Pages:
        query = self._list_query()
        if not self._spec.history or len(urlencode(query)) > LONGEST_QUERY:
            mark = yield from self._searched(replace(mark, end=self._high), trust=False)
            stamp_ = min(mark.at, mark.started - self._lag)
            return replace(
                mark, phase="archived", stamp=max(stamp_, 0), settled=max(mark.started - self._settle, 0), checked=mark.started, swept=mark.started
            )
        mark = yield from self._listed(mark, query)
        if self._until > mark.started:  # resumed: what changed since the load began is fresh
            return mark
        return replace(mark, phase="archived", at=0)

    def _list_query(self) -> list[tuple[str, str]]:
        return [
            ("limit", str(min(BATCH_WITH_HISTORY, self._page_size))),
            ("properties", ",".join(self._records.properties)),
            ("propertiesWithHistory", ",".join(self._spec.history)),
        ]

    def _listed(self, mark: Mark, query: Query) -> Pages:
        hits: list[Hit] = []
        latest, bare = mark.stamp, False
        while True:
            try:
                answer = self._transport.get(self._path, [*query, *([("after", mark.after)] if mark.after else [])]).body
            except TooLarge:  # what the address cannot hold goes into the body of batch/read
                if bare:
                    raise
                query, bare = [("limit", str(min(BATCH, self._page_size))), ("properties", self._records.stamp)], True
                continue
            hits += [Hit(str(raw["id"]), stamp(raw, self._spec.object), raw) for raw in answer["results"]]
            after = cursor(answer)
            if after is not None and after == mark.after:
                raise NoProgress(f"{self._spec.object}: the list gave the same cursor twice")
            if len(hits) >= self._page_size or after is None:
                latest = max([latest, *(hit.stamp for hit in hits)])
                mark = replace(mark, after=after or "", stamp=max(min(latest, mark.started - self._lag), 0))
                if after is None:  # the list shows the records themselves: nothing older than its start is missing
                    mark = replace(mark, phase="fresh", settled=mark.started - self._overlap, checked=mark.started, swept=mark.started)
                    mark = replace(mark, at=self._from(mark))
                yield Page(tuple(self._records.complete(hits, read=bare)), mark.text())
                hits = []
            mark = replace(mark, after=after or "")
            if after is None:
                return mark

    # -- changes -------------------------------------------------------------------------------------------------------

    def _fresh(self, mark: Mark) -> Pages:
        mark = yield from self._searched(replace(mark, end=self._high), trust=True)
        edge = mark.started - self._settle
        mark = replace(mark, stamp=max(mark.stamp, min(mark.at, mark.started - self._lag)), drained=0)
        if edge - mark.settled >= self._settle:
            return replace(mark, phase="settled", at=mark.settled, end=edge)
        return replace(mark, phase="archived", at=0)

    def _settled(self, mark: Mark) -> Pages:
        mark = yield from self._searched(mark, trust=False)
        return replace(mark, phase="archived", settled=mark.started - self._settle, at=0, drained=0)

    def _searched(self, mark: Mark, *, trust: bool) -> Pages:
        """Pages of changes between ``mark.at`` and ``mark.end`` that this run and the last have not brought.

        ``trust``: leave out records whose version the state holds, too.
        """
        hits: list[Hit] = []
        recent = dict(mark.recent)
        for part in self._records.search.changed(mark.at, mark.end, mark.drained):
            new = [hit for hit in part.hits if mark.recent.get(hit.id) != hit.stamp and self._brought.get(hit.id) != hit.stamp]
            taken = self._unknown(new) if trust else new
            hits += taken
            mark = replace(mark, at=part.at, drained=part.drained)
            recent.update({hit.id: hit.stamp for hit in taken})  # not those that only the state vouches for
            if len(hits) >= self._page_size:
                yield self._page(hits, mark)
                hits = []
        if hits:
            yield self._page(hits, mark)
        return replace(mark, recent=recent)

    def _page(self, hits: Sequence[Hit], mark: Mark) -> Page:
        self._brought.update({hit.id: hit.stamp for hit in hits})
        return Page(tuple(self._records.complete(hits, read=self._records.reads_batches)), mark.text())

    def _unknown(self, hits: Sequence[Hit]) -> Sequence[Hit]:
        """The hits of which the state does not hold this very version."""
        if self._spec.name != "opportunities" or not hits:  # of other streams the state keeps no versions
            return hits
        held = self._window.known_versions([hit.id for hit in hits])
        return [hit for hit in hits if _held(held.get(hit.id)) != hit.stamp]

    # -- what moves no stamp -------------------------------------------------------------------------------------------

    def _archived(self, mark: Mark) -> Pages:
        """Archiving moves no stamp: list all archived records, report new ones, look for those that are no longer in it."""
        found = find_archived(self._transport, self._spec.object)
        since = mark.archived - self._overlap if mark.archived else 0
        known = set(mark.gone)
        new = [id_ for id_, at in found.items() if at >= since and id_ not in known]
        for start in range(0, len(new), self._page_size):
            piece = new[start : start + self._page_size]
            mark = replace(mark, gone=(*mark.gone, *piece))
            yield Page(tuple(self._tombstone(id_, found[id_]) for id_ in piece), mark.text())
        missing = [id_ for id_ in mark.gone if id_ not in found and id_ not in self._aliases]
        restored = self._records.complete([Hit(id_, 0, {}) for id_ in missing], read=True) if missing else []
        swept = self._spec.object == DEALS or DEALS in self._spec.links
        following: Pass = "open" if swept and self._due(mark) else "done"
        mark = replace(mark, archived=mark.started, gone=tuple(found), phase=following)
        if restored:
            yield Page(tuple(restored), mark.text())
        return mark

    def _tombstone(self, id_: str, at: int) -> Record:
        return Record(id_, {}, modified_at=instant(at), deleted=True, merged_into=self._aliases.get(id_))

    def _due(self, mark: Mark) -> bool:
        return mark.started - mark.checked >= _ms(self._transport.settings.sweep_every) - self._settle  # a daily run is not punctual

    def _all_due(self, mark: Mark) -> bool:
        """Whether the sweep goes over all deals: as ``started`` and ``swept`` stand until its end, one that was cut goes on as it began."""
        return mark.started - mark.swept >= _ms(self._transport.settings.sweep_all_every) - self._settle

    def _swept(self, mark: Mark, open_: Collection[str]) -> list[str]:
        return sorted(id_ for id_ in (self._window.deal_ids() if self._all_due(mark) else open_) if id_ > mark.after)

    def _deals(self, mark: Mark) -> Pages:
        """The deals by id: calculated properties and associations move no stamp, purged and lost records leave no trace. History is read
        only where the stamp says that it has grown, or where it belongs to a calculated property. Of closed deals the purged ones are
        left to the weekly count, which buries none where too many are gone."""
        open_ = frozenset(self._window.open_ids())
        ids = self._swept(mark, open_)
        restless = bool(set(self._spec.refresh) & set(self._spec.history))
        for start in range(0, len(ids), self._page_size):
            piece = [id_ for id_ in ids[start : start + self._page_size] if id_ not in self._aliases]
            records = self._records.complete([Hit(id_, 0, {}) for id_ in piece], read=True, history=restless)
            if self._spec.history and not restless:
                records = self._with_history(records)
            mark = replace(mark, after=ids[min(start + self._page_size, len(ids)) - 1])
            yield Page((*records, *_gone([id_ for id_ in piece if id_ in open_], records)), mark.text())
        return mark

    def _linked_to_deals(self, mark: Mark) -> Pages:
        """What is associated with the deals now, or was for all we know: an e-mail that somebody files under a deal later moves no stamp,
        nor does one that is taken away from it. Of closed deals only what differs is read."""
        open_ = frozenset(self._window.open_ids())
        deals = self._swept(mark, open_)
        for start in range(0, len(deals), LINKS_AT_ONCE):
            block = deals[start : start + LINKS_AT_ONCE]
            links, held = read_links(self._transport, DEALS, self._spec.object, block), self._window.linked(block)
            for first in range(0, len(block), DEALS_AT_ONCE):
                piece = block[first : first + DEALS_AT_ONCE]
                asked: set[str] = set()
                for deal in piece:
                    now, before = {link.id for link in links[deal]}, set(held.get(deal, ()))
                    asked |= now | before if deal in open_ else now ^ before
                yield from self._reread(sorted(asked - set(self._aliases)), mark)
                mark = replace(mark, after=piece[-1])
        return mark

    def _reread(self, ids: Sequence[str], mark: Mark) -> Iterator[Page]:
        for start in range(0, len(ids), self._page_size):
            piece = ids[start : start + self._page_size]
            records = self._records.complete([Hit(id_, 0, {}) for id_ in piece], read=True)
            yield Page((*records, *_gone(piece, records)), mark.text())

    def _with_history(self, records: Sequence[Record]) -> list[Record]:
        """The records; those that moved without our having seen it are read again with their history."""
        live = [Hit(record.id, millis(record.modified_at), {}) for record in records if record.modified_at and not record.deleted]
        moved = self._unknown(live)
        again = {record.id: record for record in self._records.complete(moved, read=True)} if moved else {}
        return [*(again.pop(record.id, record) for record in records), *again.values()]


def _gone(asked: Sequence[str], records: Sequence[Record]) -> Iterator[Record]:
    """Tombstones of those that were asked for by id and not answered."""
    answered = {record.id for record in records}
    return (Record(id_, {}, deleted=True) for id_ in asked if id_ not in answered)


def _held(version: str | None) -> int | None:
    """A version of the state in epoch milliseconds; one that is no instant is no version of ours."""
    try:
        return millis(parse_instant(version)) if version else None
    except ValueError:
        return None


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)

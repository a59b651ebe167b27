"""From ids to records: batch reads, property history, what is filled, merges, associations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from connector.crms.base import Link, Record, StreamSpec, Value
from connector.crms.hubspot.associations import read_links
from connector.crms.hubspot.search import Hit, Search
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, instant, stamp, stamp_property, version_text, versions
from connector.errors import CrmConfigError, TooLarge, Transient

BATCH = 100
BATCH_WITH_HISTORY = 50
WIDEST_SEARCH = 2_500  # characters of property names: a search body may hold 3,000
MERGED = {
    "deals": ("hs_merged_object_ids",),
    "companies": ("hs_merged_object_ids",),
    "contacts": ("hs_merged_object_ids", "hs_calculated_merged_vids"),
}
T = TypeVar("T")


def in_pieces(ids: Sequence[str], size: int, ask: Callable[[Sequence[str]], Iterable[T]]) -> list[T]:
    """``ask`` for every piece of the ids; a piece that is too large for the CRM is halved."""
    told: list[T] = []
    todo = [ids[start : start + size] for start in range(0, len(ids), size)][::-1]
    while todo:
        piece = todo.pop()
        try:
            told.extend(ask(piece))
        except TooLarge:
            if len(piece) == 1:
                raise
            middle = len(piece) // 2
            todo += [piece[middle:], piece[:middle]]
    return told


class Records:
    """Completes what a stream found. ``aliases`` collects merged ids → survivor for the whole connection."""

    def __init__(self, transport: Transport, spec: StreamSpec, aliases: dict[str, str]) -> None:
        self._transport = transport
        self._spec = spec
        self._aliases = aliases
        self._checked = False
        self.stamp = stamp_property(spec.object)
        self.merged = MERGED.get(spec.object, ())
        self.properties = tuple(dict.fromkeys((self.stamp, *self.merged, *spec.fields)))
        self.reads_batches = bool(spec.history) or len(",".join(self.properties)) > WIDEST_SEARCH
        self.search = Search(transport, spec.object, () if self.reads_batches else self.properties)

    def complete(self, hits: Sequence[Hit], *, read: bool) -> list[Record]:
        """The hits as records, with history, associations, presence and the tombstones of merged ids.

        ``read``: ask batch/read for properties and history; otherwise the hit carries them.
        """
        hits = [hit for hit in hits if hit.id not in self._aliases]  # a loser's ghost in the index
        asked = tuple(dict.fromkeys(hit.id for hit in hits))
        if read:
            raws, losers = read_batch(self._transport, self._spec.object, asked, self.properties, self._spec.history)
        else:
            raws, losers = {hit.id: hit.raw for hit in hits}, {}
        ids = tuple(raws)
        if not self._checked and raws:
            assert_known(self._spec.object, self._spec.fields, raws.values())
            self._checked = True
        links = {target: read_links(self._transport, self._spec.object, target, ids) for target in self._spec.links}
        filled = {name: self._filled(name, ids) for name in self._spec.presence}
        records = [self._record(raw, links, filled) for raw in raws.values()]
        for raw in raws.values():
            losers |= dict.fromkeys(merged_ids(raw, self.merged), str(raw["id"]))
        self._aliases |= losers
        records += [Record(loser, {}, deleted=True, merged_into=survivor) for loser, survivor in losers.items() if loser not in raws]
        return records

    def _filled(self, name: str, ids: Sequence[str]) -> frozenset[str]:
        return frozenset(in_pieces(ids, BATCH, lambda piece: self.search.filled(name, piece)))

    def _record(self, raw: Raw, links: Mapping[str, Mapping[str, tuple[Link, ...]]], filled: Mapping[str, frozenset[str]]) -> Record:
        id_, at = str(raw["id"]), stamp(raw, self._spec.object)
        values: dict[str, Value] = {name: raw["properties"].get(name) for name in self._spec.fields}
        values |= {name: id_ in ids for name, ids in filled.items()}
        told = raw.get("propertiesWithHistory") or {}
        return Record(
            id=id_,
            values=values,
            version=version_text(at),
            modified_at=instant(at),
            history={name: versions(told[name]) for name in self._spec.history if told.get(name)},
            links={target: of[id_] for target, of in links.items()},
        )


def assert_known(object: str, fields: Iterable[str], raws: Iterable[Raw]) -> None:
    """HubSpot leaves an unknown property out without a word; a known, empty one is null. Raises CrmConfigError naming it."""
    for raw in raws:
        missing = sorted(set(fields) - set(raw["properties"]))
        if missing:
            raise CrmConfigError(f"{object} has no property {', '.join(missing)}")
        return


def read_batch(
    transport: Transport, object: str, ids: Sequence[str], properties: Sequence[str], history: Sequence[str] = ()
) -> tuple[dict[str, Raw], dict[str, str]]:
    """(records by the id asked for, merged ids → survivor). Ids that are gone are in neither; losers are not in the first.

    A survivor that answers for a loser is not a record of its own here unless it was asked for.
    """
    path = f"/crm/objects/{transport.settings.api_version}/{object}/batch/read"
    merged = MERGED.get(object, ())
    wanted = list(dict.fromkeys((*properties, *merged)))
    raws: dict[str, Raw] = {}
    losers: dict[str, str] = {}

    def ask(piece: Sequence[str]) -> Iterable[tuple[Sequence[str], Mapping[str, Any]]]:
        body: dict[str, Any] = {"inputs": [{"id": id_} for id_ in piece], "properties": wanted}
        if history:
            body["propertiesWithHistory"] = list(history)
        return [(piece, transport.post(path, body).body)]

    for piece, answer in in_pieces(ids, BATCH_WITH_HISTORY if history else BATCH, ask):
        returned = {str(raw["id"]): raw for raw in answer.get("results", ())}
        raws |= {id_: returned[id_] for id_ in piece if id_ in returned}
        open_ = set(piece) - set(returned) - _gone(answer, object)
        losers |= _attribute(open_, [raw for id_, raw in returned.items() if id_ not in piece], merged)
        for id_ in sorted(open_ - set(losers)):  # unexplained: asked alone, the answer can only be about this id
            alone = transport.post(path, {"inputs": [{"id": id_}], "properties": wanted}).body
            answers = [str(raw["id"]) for raw in alone.get("results", ())]
            if answers and answers[0] != id_:
                losers[id_] = answers[0]
            _gone(alone, object)
    return raws, losers


def _gone(answer: Mapping[str, Any], object: str) -> set[str]:
    """Ids that the answer names as not found. Any other error inside it is a failed call."""
    gone: set[str] = set()
    for error in answer.get("errors", ()):
        if error.get("category") != "OBJECT_NOT_FOUND":
            raise Transient(f"batch/read of {object}: {error.get('category')}: {error.get('message')}")
        gone |= {str(id_) for id_ in (error.get("context") or {}).get("ids", ())}
    return gone


def _attribute(open_: set[str], strangers: Sequence[Raw], merged: Sequence[str]) -> dict[str, str]:
    """Which id that was not answered became which record that was not asked for."""
    losers = {}
    for raw in strangers:
        for loser in open_ & set(merged_ids(raw, merged)):
            losers[loser] = str(raw["id"])
    return losers


def merged_ids(raw: Raw, names: Sequence[str]) -> list[str]:
    """Ids that were merged into this record, of every property that lists some."""
    texts = [str(raw["properties"].get(name) or "") for name in names]
    found = [part.split(":")[0].strip() for text in texts for part in text.split(";")]
    return [part for part in found if part.isdigit() and part != str(raw["id"])]

"""From ids to records: batch reads, property history, what is filled, merges, associations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.crms.base import Link, Record, StreamSpec, Value
from connector.crms.hubspot.associations import read_all_links
from connector.crms.hubspot.faults import NOT_FOUND, ids_in, names_in
from connector.crms.hubspot.parallel import in_order, in_pieces
from connector.crms.hubspot.search import Hit, Search
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, instant, stamp, stamp_property, version_text, versions
from connector.errors import CrmConfigError, Transient

BATCH = 100
BATCH_WITH_HISTORY = 50
WIDEST_SEARCH = 2_500  # characters of property names: a search body may hold 3,000
MERGED = {
    "deals": ("hs_merged_object_ids",),
    "companies": ("hs_merged_object_ids",),
    "contacts": ("hs_merged_object_ids", "hs_calculated_merged_vids"),
    "tickets": ("hs_merged_object_ids",),
}


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
        self._wide = bool(spec.history) or len(",".join(self.properties)) > WIDEST_SEARCH
        self.search = Search(transport, spec.object, () if self._wide else self.properties)

    @property
    def reads_batches(self) -> bool:
        """Whether hits of a search carry too little and are to be read by id."""
        return self._wide or self.search.bare

    def complete(self, hits: Sequence[Hit], *, read: bool, history: bool = True) -> list[Record]:
        """The hits as records, with history, associations, presence and the tombstones of merged ids.

        ``read``: ask batch/read for properties and history; otherwise the hit carries them. ``history``: whether it is wanted.
        """
        hits = [hit for hit in hits if hit.id not in self._aliases]  # a loser's ghost in the index
        asked = tuple(dict.fromkeys(hit.id for hit in hits))
        if read:
            raws, losers = read_batch(self._transport, self._spec.object, asked, self.properties, self._spec.history if history else ())
        else:
            raws, losers = {hit.id: hit.raw for hit in hits}, {}
        ids = tuple(raws)
        if not self._checked and raws:
            assert_known(self._spec.object, self._spec.fields, raws.values())
            self._checked = True
        links = read_all_links(self._transport, self._spec.object, self._spec.links, ids)
        filled = {name: self._filled(name, ids) for name in self._spec.presence}
        records = [self._record(raw, links, filled) for raw in raws.values()]
        for raw in raws.values():
            losers |= dict.fromkeys(merged_ids(raw, self.merged), str(raw["id"]))
        self._aliases |= losers
        records += [Record(loser, {}, deleted=True, merged_into=survivor) for loser, survivor in losers.items() if loser not in raws]
        return records

    def _filled(self, name: str, ids: Sequence[str]) -> frozenset[str]:
        return frozenset(in_pieces(ids, BATCH, lambda piece: self.search.filled(name, piece), self._transport.settings.parallel))

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

    def ask(piece: Sequence[str]) -> list[tuple[Sequence[str], Mapping[str, Any]]]:
        body: dict[str, Any] = {"inputs": [{"id": id_} for id_ in piece], "properties": wanted}
        if history:
            body["propertiesWithHistory"] = list(history)
        return [(piece, transport.post(path, body).body)]

    at_once = transport.settings.parallel
    for piece, answer in in_pieces(ids, BATCH_WITH_HISTORY if history else BATCH, ask, at_once):
        returned = {str(raw["id"]): raw for raw in answer.get("results", ())}
        raws |= {id_: returned[id_] for id_ in piece if id_ in returned}
        open_ = set(piece) - set(returned) - _gone(answer, object)
        losers |= _attribute(open_, [raw for id_, raw in returned.items() if id_ not in piece], merged)
        unexplained = sorted(open_ - set(losers))  # asked alone, the answer can only be about this id
        for id_, alone in zip(unexplained, in_order(unexplained, lambda id_: ask([id_])[0][1], at_once), strict=True):
            answers = [str(raw["id"]) for raw in alone.get("results", ())]
            if answers and answers[0] != id_:
                losers[id_] = answers[0]
            elif answers:
                raws[id_] = alone["results"][0]
            _gone(alone, object)
    return {id_: raws[id_] for id_ in ids if id_ in raws}, losers


def _gone(answer: Mapping[str, Any], object: str) -> frozenset[str]:
    """Ids that the answer names as not found. Any other error inside it is a failed call."""
    gone: frozenset[str] = frozenset()
    for error in answer.get("errors", ()):
        if NOT_FOUND not in names_in(error):
            raise Transient(f"batch/read of {object}: {error.get('category')}: {error.get('message')}")
        gone |= ids_in(error, "ids", "id")
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

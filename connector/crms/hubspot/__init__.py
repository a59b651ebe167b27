"""HubSpot: one portal over its dated HTTP API (2026-03, or 2026-09 by setting), through the generic call of hubspot-api-client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crms.base import (
    Count,
    Field,
    Meter,
    OrgInfo,
    Page,
    Pipeline,
    PushCost,
    PushPart,
    Rate,
    Record,
    Rule,
    StreamSpec,
    Update,
    Window,
    WriteResult,
)
from connector.crms.hubspot import counting, schema
from connector.crms.hubspot.records import Records, assert_known, read_batch
from connector.crms.hubspot.search import Hit
from connector.crms.hubspot.settings import HubSpotSettings
from connector.crms.hubspot.stream import Stream
from connector.crms.hubspot.sweeps import contact_roles, owners
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import instant, plain, stamp, stamp_property, version_text
from connector.crms.hubspot.write import Writer
from connector.crms.manifest import Manifest, managed, refuse_outside
from connector.errors import MissingScope

__all__ = ["HubSpotCrm", "HubSpotSettings"]
ENFORCING = "2026-09"  # the first version that holds writes of the API to the administrator's rules
SEEN_FOR = timedelta(minutes=5)  # how long a record that fetch() saw alive is taken to be so


class HubSpotCrm:
    """One connection to one portal; implements connector.crms.base.Crm. Raises only classes of connector.errors.

    Objects: deals, companies, contacts, calls, emails, meetings, tasks, leads, tickets … by name, singular or number in any case, and owners.
    A record of a deal carries ``history`` of the fields that the stream names and ``links`` (object → associated records with
    label names).
    Reads leave out a record whose version the state holds (``Window.known_versions``): whoever stores the version of a
    WriteResult stores the values written with it.
    """

    kind = "hubspot"

    def __init__(self, settings: HubSpotSettings, clock: Clock, manifest: Manifest) -> None:
        self.meter = Meter()
        self._manifest = managed(manifest)
        self._transport = Transport(settings, clock, self.meter)
        self._clock = clock
        self._aliases: dict[str, dict[str, str]] = {}
        self._seen: dict[str, dict[str, datetime]] = {}

    def now(self) -> datetime:
        """The portal's clock (Date header, whole seconds), asked afresh: one call."""
        return self._transport.now()

    def check(self) -> OrgInfo:
        """Prove the credential. Raises AuthenticationError, MissingScope, Transient."""
        return schema.account(self._transport)

    def unreadable(self, objects: Sequence[str]) -> Mapping[str, MissingScope]:
        """A service key cannot be asked for its scopes: read one record of each object, and name those that are refused."""
        refused = {}
        for object in objects:
            try:
                schema.probe(self._transport, object)
            except MissingScope as error:
                refused[object] = error
        return refused

    def discover(self, object: str) -> Mapping[str, Field]:
        """Properties by name. Raises CrmConfigError for an unknown object."""
        return schema.fields(self._transport, plain(object))

    def pipelines(self) -> tuple[Pipeline, ...]:
        """Deal pipelines with their stages."""
        return schema.pipelines(self._transport)

    def labels(self, source: str, target: str) -> tuple[str, ...]:
        """Names of the association labels between two objects."""
        return schema.labels(self._transport, source, target)

    def rates(self) -> tuple[Rate, ...]:
        """Every rate there ever was, one call a hundred or so. Raises MissingScope where the credential may not read currencies."""
        return schema.rates(self._transport)

    def rules(self, object: str) -> tuple[Rule, ...]:
        """Rules on the values of our own properties, one call; from API 2026-09 on, which enforces the administrator's rules on every
        write, those on the object's other properties too: one of them may refuse a write of ours that does not touch it."""
        found = schema.rules(self._transport, plain(object))
        if self._transport.settings.api_version >= ENFORCING:
            return found
        ours = {field for of, fields in self._manifest.items() if plain(of) == plain(object) for field in fields}
        return tuple(rule for rule in found if rule.field in ours)

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        """Pages of the window; the last one carries the final bookmark. Raises CrmConfigError for an unknown property."""
        stream = _plain(stream)
        if stream.name == "owners":
            return owners(self._transport, stream, window)
        if stream.name == "contact_roles":
            return contact_roles(self._transport, stream, window)
        return Stream(self._transport, stream, window, self._merged(stream.object)).pages()

    def count(self, stream: StreamSpec) -> Count | None:
        """By the search index (``total``), one call: a few entries more or less than there are; ``ids`` is exact."""
        return counting.count(self._transport, _plain(stream))

    def ids(self, stream: StreamSpec) -> Iterator[Sequence[str]]:
        """Every live id by the list, a hundred a call."""
        return counting.ids(self._transport, _plain(stream))

    def again(self, stream: StreamSpec, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
        """By batch/read, with history and associations. The history and the roles of a deal are parts of it."""
        stream = _plain(stream)
        records = Records(self._transport, stream, self._merged(stream.object))
        size = self._transport.settings.page_size
        for start in range(0, len(ids), size):
            yield records.complete([Hit(id_, 0, {}) for id_ in ids[start : start + size]], read=True)

    def cost(self, stream: StreamSpec, records: int) -> int:
        """Calls that reading so many changed records takes; makes none."""
        return counting.cost(self._transport, _plain(stream), records)

    def push_cost(self, parts: Sequence[PushPart], fields: Sequence[str]) -> PushCost:
        """See Crm.push_cost: what proves the credential (and renews it, by OAuth), then one read and one write for a batch of up to 100."""
        settings = self._transport.settings
        batches = sum(-(-part.records // min(part.batch, settings.write_batch)) for part in parts)
        return PushCost((1 if settings.refresh_tokens else 0) + schema.ACCOUNT_CALLS + batches, batches)

    def fetch(self, object: str, ids: Sequence[str], fields: Sequence[str], key_field: str | None = None) -> Mapping[str, Record]:
        """Current values by the id asked for (batch/read, 100 a call); gone and merged ids are absent. There are no objects of ours."""
        object = plain(object)
        raws, losers = read_batch(self._transport, object, list(dict.fromkeys(ids)), [stamp_property(object), *fields])
        assert_known(object, fields, raws.values())
        self._merged(object).update(losers)
        told = {}
        self._seen.setdefault(object, {}).update(dict.fromkeys(raws, self._clock.now()))
        for id_, raw in raws.items():
            at = stamp(raw, object)
            values = {name: raw["properties"].get(name) for name in fields}
            told[id_] = Record(id_, values, version_text(at), instant(at))
        return told

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        """One result per update. Refuses fields outside the manifest with OutsideManifest before anything is sent."""
        refuse_outside(self._manifest, updates)
        return self._written(updates)

    def _written(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        for object in dict.fromkeys(plain(update.object) for update in updates):
            recent = self._clock.now() - SEEN_FOR
            alive = {id_ for id_, at in self._seen.get(object, {}).items() if at >= recent}
            writer = Writer(self._transport, object, self._merged(object), alive)
            yield from writer.write([update for update in updates if plain(update.object) == object])

    def _merged(self, object: str) -> dict[str, str]:
        """Merged ids → survivor, as far as this connection has seen them."""
        return self._aliases.setdefault(object, {})

    def close(self) -> None:
        self._transport.close()


def _plain(stream: StreamSpec) -> StreamSpec:
    return replace(stream, object=plain(stream.object))

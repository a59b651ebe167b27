"""Salesforce: reads by keyset windows or Bulk jobs, collections writes, describe and picklists. Nothing here is known outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

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
from connector.crms.manifest import Manifest, managed
from connector.crms.salesforce import schema
from connector.crms.salesforce.rest import Reader
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.transport import Client
from connector.crms.salesforce.write import Writer

__all__ = ["SalesforceCrm", "SalesforceSettings"]


SIGN_IN = 1


class SalesforceCrm:
    """One org. ``manifest``: object → fields that may be written (``{"Opportunity": frozenset({"KPI_Pace__c"})}``); empty: read only.

    Opens no connection before the first call. Raises OutsideManifest for a manifest that names a field of the company's own.
    """

    kind = "salesforce"

    def __init__(self, settings: SalesforceSettings, clock: Clock, manifest: Manifest | None = None) -> None:
        self.meter = Meter()
        self._client = Client(settings, clock, self.meter)
        self._schema = schema.Schema(self._client)
        self._reader = Reader(self._client, self._schema, settings)
        self._writer = Writer(self._client, clock, settings, managed(manifest or {}))

    def now(self) -> datetime:
        return self._client.now()

    def check(self) -> OrgInfo:
        return schema.org_info(self._client)

    def discover(self, object: str) -> Mapping[str, Field]:
        return self._schema.describe(object).fields

    def pipelines(self) -> tuple[Pipeline, ...]:
        return schema.pipelines(self._client)

    def rates(self) -> tuple[Rate, ...]:
        """Dated conversion rates, and the undated ones of currencies that have none. Two calls."""
        return schema.rates(self._client)

    def rules(self, object: str) -> tuple[Rule, ...]:
        """None: an org tells its validation rules to administrators only, and what one of them refuses is named by the write."""
        return ()

    def read(self, stream: StreamSpec, window: Window) -> Iterator[Page]:
        return self._reader.read(stream, window)

    def count(self, stream: StreamSpec) -> Count | None:
        return self._reader.count(stream)

    def ids(self, stream: StreamSpec) -> Iterator[Sequence[str]]:
        return self._reader.ids(stream)

    def again(self, stream: StreamSpec, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
        return self._reader.again(stream, ids)

    def cost(self, stream: StreamSpec, records: int) -> int:
        return self._reader.cost(stream, records)

    def push_cost(self, parts: Sequence[PushPart], fields: Sequence[str]) -> PushCost:
        """See Crm.push_cost: the sign-in, what proves it, one description an object, then batch by batch."""
        reads = writes = 0
        for part in parts:
            reads += sum(self._reader.fetch_cost(part.object, size, fields, keyed=part.keyed) for size in part.batches)
            writes += sum(self._writer.cost(size) for size in part.batches)
        return PushCost(SIGN_IN + schema.CHECK_CALLS + len({part.object for part in parts}) + reads, writes)

    def fetch(self, object: str, ids: Sequence[str], fields: Sequence[str], key_field: str | None = None) -> Mapping[str, Record]:
        return self._reader.fetch(object, ids, fields, key_field)

    def write(self, updates: Sequence[Update]) -> Iterator[WriteResult]:
        return self._writer.write(updates)

    def close(self) -> None:
        self._client.close()

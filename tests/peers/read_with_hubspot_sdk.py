"""Read the whole portal with the ``hubspot-sdk`` package, every answer validated by its models: ``python read_with_hubspot_sdk.py BASE_URL``.

Runs in the package's own environment, so it imports nothing of ours. One JSON line a record: ``{"object", "id"}``.
The one thing changed in the models: a property's value may be null (they type ``properties`` as ``Dict[str, str]``, and
recorded traffic of the real API holds nulls).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import hubspot_sdk.types.crm as models
from hubspot_sdk import HubSpot

OBJECTS = ("deals", "contacts", "companies", "calls", "emails", "meetings", "tasks")
BATCH = 50  # ids a batch read with history takes


def nulls_allowed() -> None:
    for model in (models.SimplePublicObject, models.SimplePublicObjectWithAssociations):
        model.model_fields["properties"].annotation = dict[str, str | None]  # type: ignore[assignment]
        model.model_rebuild(force=True)


def say(object_: str, records: Iterable[Any]) -> list[str]:
    ids = [record.id for record in records]
    for id in ids:
        print(json.dumps({"object": object_, "id": id}))
    return ids


def main() -> None:
    nulls_allowed()
    client = HubSpot(access_token="sandbox-peer", base_url=sys.argv[1], max_retries=2, _strict_response_validation=True)
    client.account.get()
    say("owners", client.crm.owners.list(limit=100))
    say("pipelines", client.crm.pipelines.list("deals").results)
    for object_ in OBJECTS:
        say(f"properties of {object_}", [_Named(p.name) for p in client.crm.properties.list(object_).results])
        resource = getattr(client.crm.objects, object_)
        ids = say(object_, resource.list(limit=100, properties=["hs_lastmodifieddate", "hubspot_owner_id"]))
        say(f"archived {object_}", resource.list(limit=100, archived=True))
        found = resource.search(filter_groups=[], sorts=[], properties=["hs_lastmodifieddate"], query="", limit=200, after="0")
        assert found.total == len(ids), (object_, found.total, len(ids))
    deals = say("deals again", client.crm.objects.deals.list(limit=100))
    for start in range(0, len(deals), BATCH):
        read = client.crm.objects.deals.batch.get(
            inputs=[{"id": id} for id in deals[start : start + BATCH]], properties=["dealstage"], properties_with_history=["dealstage", "amount"]
        )
        say("deals with history", read.results)


class _Named:
    def __init__(self, id: str) -> None:
        self.id = id


if __name__ == "__main__":
    main()

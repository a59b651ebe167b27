"""Archived records: the only trace of HubSpot's delete, found by listing all of them."""

from __future__ import annotations

from connector.clock import parse_instant
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import millis
from connector.errors import NoProgress

LIST_PAGE = 100


def find_archived(transport: Transport, object: str) -> dict[str, int]:
    """Id → when it was archived (epoch milliseconds), oldest first. Records leave this list when restored or, after 90 days, purged."""
    path = f"/crm/objects/{transport.settings.api_version}/{object}"
    found: dict[str, int] = {}
    after: str | None = None
    while True:
        query = [("limit", str(LIST_PAGE)), ("archived", "true"), *([("after", after)] if after else [])]
        answer = transport.get(path, query).body
        for raw in answer["results"]:
            found[str(raw["id"])] = millis(parse_instant(str(raw.get("archivedAt") or raw["updatedAt"])))
        following = ((answer.get("paging") or {}).get("next") or {}).get("after")
        if following is None:
            return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
        if following == after:
            raise NoProgress(f"{object}: the list of archived records gave the same cursor twice")
        after = str(following)

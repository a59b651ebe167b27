"""The list of an object type: every record by id, however many, live ones or archived ones.

Only the id is asked for: without a word about properties HubSpot sends its own choice, which holds names and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.clock import parse_instant
from connector.crms.hubspot.transport import Transport
from connector.crms.hubspot.wire import Raw, millis
from connector.errors import NoProgress

PAGE = 100
NAMELESS = ("properties", "hs_object_id")


def pages(transport: Transport, object: str, *, archived: bool = False) -> Iterator[list[Raw]]:
    """Pages of bare records in the order of their ids. Raises NoProgress where a cursor comes twice."""
    path = f"/crm/objects/{transport.settings.api_version}/{object}"
    fixed = [("limit", str(min(PAGE, transport.settings.page_size))), ("archived", "true" if archived else "false"), NAMELESS]
    after: str | None = None
    while True:
        answer = transport.get(path, [*fixed, *([("after", after)] if after else [])]).body
        yield list(answer["results"])
        following = cursor(answer)
        if following is None:
            return
        if following == after:
            raise NoProgress(f"{object}: the list gave the same cursor twice")
        after = following


def cursor(answer: Mapping[str, Any]) -> str | None:
    """``paging.next.after``: its absence alone ends a list. The link beside it leads elsewhere and is never followed."""
    after = ((answer.get("paging") or {}).get("next") or {}).get("after")
    return None if after is None else str(after)


def find_archived(transport: Transport, object: str) -> dict[str, int]:
    """Id → when it was archived (epoch milliseconds), oldest first: the only trace of HubSpot's delete.

    Records leave this list when they are restored or, after 90 days, purged.
    """
    found = {
        str(raw["id"]): millis(parse_instant(str(raw.get("archivedAt") or raw["updatedAt"])))
        for page in pages(transport, object, archived=True)
        for raw in page
    }
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))

"""How many records a stream has, which ones, and what reading them costs.

The count is the ``total`` of one search without a filter: one call, however many records. The list would count exactly, at a
call for every hundred records. A total may be off by entries of records just gone and by records just made, so it only ever
raises a question; the answer is :func:`ids`, which walks the list itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.crms.base import Count, StreamSpec
from connector.crms.hubspot import lists
from connector.crms.hubspot.associations import BATCH as LINKS
from connector.crms.hubspot.records import BATCH, BATCH_WITH_HISTORY, Records
from connector.crms.hubspot.search import PAGE, Search
from connector.crms.hubspot.sweeps import OWNERS_PAGE, owner_pages
from connector.crms.hubspot.transport import Transport

IDLE = 2  # one search, one list of archived records


def count(transport: Transport, spec: StreamSpec) -> Count | None:
    """By the search index, one call. None for owners, read whole each time, and for contact roles, which are no records."""
    if spec.name in ("owners", "contact_roles"):
        return None
    return Count(Search(transport, spec.object, ()).total())


def ids(transport: Transport, spec: StreamSpec) -> Iterator[Sequence[str]]:
    """Every live id by the list, a hundred a call; of owners the archived ones too, who stay records.

    Of contact roles, whose record is the deal, the ids are those of deals.
    """
    pages = owner_pages(transport) if spec.name == "owners" else lists.pages(transport, spec.object)
    for raws in pages:
        if raws:
            yield tuple(str(raw["id"]) for raw in raws)


def cost(transport: Transport, spec: StreamSpec, records: int) -> int:
    """Calls that so many changed records take: searches, batch reads, associations, presence. 0 records: an idle read."""
    if spec.name == "owners":
        return max(_calls(records, OWNERS_PAGE), 1) + 1
    if spec.name == "contact_roles":
        return len(spec.links) * _calls(records, LINKS)
    needs = Records(transport, spec, {})
    size = transport.settings.page_size
    calls = IDLE + max(_calls(records, min(PAGE, size)) - 1, 0)  # the first page of hits is the search that an idle read makes
    for page, times in ((size, records // size), (records % size, 1)):
        if page and times:
            read = _calls(page, BATCH_WITH_HISTORY if spec.history else BATCH) if needs.reads_batches else 0
            calls += times * (read + len(spec.links) + len(spec.presence) * _calls(page, BATCH))
    return calls


def _calls(records: int, size: int) -> int:
    return -(-records // size)

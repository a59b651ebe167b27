"""Associations of many records at once, every page of every record, labels by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from connector.crms.base import Link
from connector.crms.hubspot.faults import NO_ASSOCIATIONS, ids_in, names_in
from connector.crms.hubspot.lists import cursor
from connector.crms.hubspot.parallel import in_order
from connector.crms.hubspot.schema import label_name
from connector.crms.hubspot.transport import Transport
from connector.errors import NoProgress, TooLarge, Transient

BATCH = 1_000


def read_all_links(transport: Transport, source: str, targets: Sequence[str], ids: Sequence[str]) -> dict[str, dict[str, tuple[Link, ...]]]:
    """Target → id → its whole set of associated records, one target beside the other. Raises as :func:`read_links`."""
    told = in_order(targets, lambda target: read_links(transport, source, target, ids), transport.settings.parallel)
    return dict(zip(targets, told, strict=True))


def read_links(transport: Transport, source: str, target: str, ids: Sequence[str]) -> dict[str, tuple[Link, ...]]:
    """For every id its whole set of associated records; ``()`` only where HubSpot says that there are none.

    Raises Transient if an answer fails for a record, or says nothing of it twice: that is never an empty set.
    """
    path = f"/crm/associations/{transport.settings.api_version}/{source}/{target}/batch/read"
    found: dict[str, dict[str, dict[str, None]]] = {id_: {} for id_ in ids}
    asked: set[tuple[str, str | None]] = set()
    todo: list[tuple[str, str | None]] = [(id_, None) for id_ in ids]
    silent: set[str] = set()
    size = BATCH
    while todo:
        batch, rest = todo[:size], todo[size:]
        try:
            answer = transport.post(path, {"inputs": [_input(id_, after) for id_, after in batch]}).body
        except TooLarge:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            continue
        asked.update(batch)
        heard = _empty(answer, {id_ for id_, _ in batch})
        more: list[tuple[str, str | None]] = []
        for result in answer.get("results", ()):
            id_ = str(result["from"]["id"])
            heard.add(id_)
            _collect(found[id_], result.get("to", ()))
            after = cursor(result)
            if after is not None:
                more.append((id_, after))
        missed = {id_ for id_, _ in batch} - heard
        if missed & silent:
            raise Transient(f"associations {source} → {target}: no answer for {len(missed & silent)} records, asked twice")
        silent |= missed
        if asked & set(more):
            raise NoProgress(f"associations {source} → {target}: the same page of a record came twice")
        todo = rest + more + [(id_, after) for id_, after in batch if id_ in missed]
    return {id_: tuple(Link(to, tuple(labels)) for to, labels in pairs.items()) for id_, pairs in found.items()}


def _input(id_: str, after: str | None) -> dict[str, str]:
    return {"id": id_} if after is None else {"id": id_, "after": after}


def _empty(answer: Mapping[str, Any], asked: set[str]) -> set[str]:
    """Ids of which the answer says that they have no associations. Any other error is a failed call."""
    empty: set[str] = set()
    for error in answer.get("errors", ()):
        if NO_ASSOCIATIONS not in names_in(error):
            raise Transient(f"associations: {error.get('category')}: {error.get('message')}")
        named = ids_in(error, "fromObjectId", "id", "ids") & asked
        empty |= named or asked & set(re.findall(r"\d+", str(error.get("message") or "")))  # some name the record in the text only
    return empty


def _collect(pairs: dict[str, dict[str, None]], answers: Sequence[Mapping[str, Any]]) -> None:
    """One pair carries several types: one link, the set of their labels. Ids are numbers in v4 and text in dated versions."""
    for to in answers:
        labels = pairs.setdefault(str(to["toObjectId"]), {})
        for kind in to.get("associationTypes", ()):
            name = label_name(kind)
            if name:
                labels[name] = None

"""What a rig was asked."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from tests.pitfalls.catalogue import SF


def asked(rig: Any) -> list[str]:
    """ "METHOD path?query body" of every request since the journal was cleared, unquoted."""
    return [f"{a.method} {a.path}?{unquote_plus(a.query)} {a.body.decode('utf-8', 'replace')}" for a in rig.world.journal]


class _Watched(deque[Any]):
    """A journal that tells of each request before it is answered."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        super().__init__()
        self._tell = tell

    def append(self, request: Any) -> None:
        super().append(request)
        self._tell(request)


@contextmanager
def watched(rig: Any, tell: Callable[[Any], None]) -> Iterator[Any]:
    """A new journal; ``tell`` hears of each request (method, path, query; its body comes later) on the server's thread, while it waits."""
    plain, rig.world.journal = rig.world.journal, _Watched(tell)
    try:
        yield rig.world.journal
    finally:
        rig.world.journal = plain


def selected(queries: list[str]) -> list[tuple[str, list[str]]]:
    """(object, columns) of every SELECT among the query strings."""
    found = (re.search(r"SELECT (.+?) FROM (\w+)", unquote_plus(query)) for query in queries)
    return [(match[2], match[1].split(", ")) for match in found if match and "(" not in match[1]]


def requested(rig: Any) -> dict[str, set[str]]:
    """Object → fields that requests for its records named. Fails for a request that leaves the choice to the CRM."""
    found: dict[str, set[str]] = {}
    for request in rig.world.journal:
        if rig.crm == SF:
            object, fields = _named_on_salesforce(request)
        else:
            object, fields = _named_on_hubspot(request)
        if object:
            assert fields, (request.path, request.query)
            found.setdefault(object, set()).update(fields)
    return found


def _named_on_salesforce(request: Any) -> tuple[str, list[str]]:
    if "/composite/sobjects/" in request.path:
        return request.path.rpartition("/")[2], json.loads(request.body)["fields"]
    for object, fields in selected([request.query]):
        assert "FIELDS" not in " ".join(fields).upper()
        return object, fields
    return "", []


def _named_on_hubspot(request: Any) -> tuple[str, list[str]]:
    parts = request.path.strip("/").split("/")
    if parts[:2] != ["crm", "objects"] or parts[-1] == "update":
        return "", []
    given = json.loads(request.body) if request.method == "POST" else {}
    told = parse_qs(request.query)
    listed = [name for key in ("properties", "propertiesWithHistory") for text in told.get(key, []) for name in text.split(",")]
    return parts[3], [*listed, *given.get("properties", []), *given.get("propertiesWithHistory", [])]

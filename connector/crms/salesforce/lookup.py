"""Asking for rows outside a window: small queries whole, known ids in chunks, counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from connector.crms.retry import ATTEMPTS
from connector.crms.salesforce import soql
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.shape import Row, Shape, joined
from connector.crms.salesforce.transport import Client
from connector.errors import CursorExpired, TooLarge, Transient

RETRIEVE = 2_000  # ids a collections read takes


class Lookup:
    """Questions that answer at once. Every chunk is halved when the org finds it too much."""

    def __init__(self, client: Client, settings: SalesforceSettings) -> None:
        self._client = client
        self.options = {"Sforce-Query-Options": f"batchSize={settings.page_size}"}

    def ask(self, query: str, *, deleted: bool = True) -> Any:
        """The first page of a query. ``deleted``: with what lies in the recycle bin and in the archive."""
        return self._client.page("queryAll" if deleted else "query", params={"q": query}, headers=self.options)

    def count(self, object_: str, where: str = "", *, deleted: bool = True) -> int:
        """``SELECT COUNT()``: the number comes as totalSize, without rows. Raises TooLarge where the org cannot count so many."""
        query = f"SELECT COUNT() FROM {soql.name(object_)}" + (f" WHERE {where}" if where else "")
        return int(self.ask(query, deleted=deleted)["totalSize"])

    def all_rows(self, query: str, *, deleted: bool = False) -> list[Row]:
        """Every row of a query that is known to be small. A lost locator starts it again."""
        for _ in range(ATTEMPTS):
            answer = self.ask(query, deleted=deleted)
            session = self._client.session
            rows = list(answer["records"])
            try:
                while not answer["done"]:
                    answer = self._client.page(answer["nextRecordsUrl"], headers=self.options, session=session)
                    rows += answer["records"]
            except CursorExpired:
                continue
            return rows
        raise Transient(f"the org lost the page cursor {ATTEMPTS} times")

    def by_ids(
        self, object_: str, field_: str, ids: Sequence[str], columns: Sequence[str], *, deleted: bool = False, also: str = ""
    ) -> Iterator[list[Row]]:
        """Rows whose ``field_`` is one of the ids, 300 ids a query, fewer where the org finds that too much. ``also``: a further condition."""
        start, size = 0, soql.IN_LIST
        while start < len(ids):
            chunk = ids[start : start + size]
            where = f"{soql.name(field_)} IN {soql.literal(chunk)}" + (f" AND {also}" if also else "")
            query = soql.select(columns, object_, where)
            try:
                if soql.too_long(query):
                    raise TooLarge("the address of a query for a single record is too long")
                rows = self.all_rows(query, deleted=deleted)
            except TooLarge:
                if len(chunk) == 1:
                    raise
                size = len(chunk) // 2
                continue
            yield rows
            start += len(chunk)

    def retrieve(self, object_: str, ids: Sequence[str], columns: Sequence[str]) -> Iterator[list[Row | None]]:
        """Known records by a collections read, 2,000 ids a call, in the order of the ids; None for what is gone or cannot be seen."""
        start, size = 0, RETRIEVE
        while start < len(ids):
            chunk = list(ids[start : start + size])
            try:
                answer = self._client.json("POST", f"composite/sobjects/{object_}", data=orjson.dumps({"ids": chunk, "fields": list(columns)}))
            except TooLarge:
                if len(chunk) == 1:
                    raise
                size = len(chunk) // 2
                continue
            if not isinstance(answer, list) or len(answer) != len(chunk):
                raise Transient(f"asked for {len(chunk)} records and not answered one by one")
            yield answer
            start += len(chunk)

    def live(self, object_: str, ids: Sequence[str], columns: Sequence[str]) -> Iterator[Row]:
        """Known records as they are now, without those that are gone. Fields of parents are asked by query, 300 ids a call."""
        if any("." in column for column in columns):
            for rows in self.by_ids(object_, "Id", ids, columns):
                yield from rows
        else:
            for found in self.retrieve(object_, ids, columns):
                yield from (row for row in found if row)

    def completed(self, shape: Shape, rows: Iterable[Row]) -> list[Row]:
        """Rows of a SELECT that had to be split, with the fields of the other parts.

        Parts are joined only where their stamps agree: a record saved in between is asked again in all its parts.
        """
        whole: dict[str, Row] = {row["Id"]: row for row in rows}
        order, waiting = list(whole), list(whole)
        for attempt in range(3):
            moved: set[str] = set()
            parts = shape.others if attempt == 0 else (shape.columns, *shape.others)
            for part in parts:
                found = self._part(shape.object, waiting, part)
                for identity in waiting:
                    other = found.get(identity)
                    if other is None:
                        whole.pop(identity, None)  # it vanished for good in between
                    elif part is shape.columns:
                        whole[identity] = other
                    elif identity in whole and other[shape.key] != whole[identity][shape.key]:
                        moved.add(identity)
                    elif identity in whole:
                        whole[identity] = joined(whole[identity], other)
            if not moved:
                return [whole[identity] for identity in order if identity in whole]
            waiting = sorted(moved)
        raise Transient("records change faster than their parts can be read")

    def _part(self, object_: str, ids: Sequence[str], columns: Sequence[str]) -> dict[str, Row]:
        """Some columns of known records, those in the recycle bin included (a collections read may leave them out)."""
        found: dict[str, Row] = {}
        if not any("." in column for column in columns):
            for chunk in self.retrieve(object_, ids, columns):
                found |= {row["Id"]: row for row in chunk if row}
        missing = [identity for identity in ids if identity not in found]
        for rows in self.by_ids(object_, "Id", missing, columns, deleted=True):
            found |= {row["Id"]: row for row in rows}
        return found


def ids_at_once(object_: str, columns: Sequence[str], *, keyed: bool = False) -> int:
    """How many ids one call of :meth:`Lookup.live` takes: the address of a query grows with its columns. ``keyed``: keys go by query always."""
    if not keyed and not any("." in column for column in columns):
        return RETRIEVE
    size = soql.IN_LIST
    while size > 1 and soql.too_long(soql.select(columns, object_, f"Id IN {soql.literal(['0' * 18] * size)}")):
        size //= 2
    return size

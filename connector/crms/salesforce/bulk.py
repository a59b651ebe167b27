"""Bulk API 2.0 query jobs: made, waited for, read as CSV in pages side by side, deleted.

A job's rows come in no order, so its place is not a stamp but a place in its results: ``job``, ``listed`` (the list of result
pages that is read), ``taken`` (how many of them are done) and ``row`` (how many rows of the next one). The results of a job stay as
they are while it exists, so a read that was cut off goes on exactly there.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice

import orjson
import requests

from connector.crms.base import Field, Value
from connector.crms.salesforce import soql
from connector.crms.salesforce.faults import clean
from connector.crms.salesforce.schema import Schema
from connector.crms.salesforce.settings import SalesforceSettings
from connector.crms.salesforce.shape import Row
from connector.crms.salesforce.transport import PARALLEL, Client
from connector.errors import CrmConfigError, CursorExpired, MissingScope, NoProgress, TooLarge, Transient

FIRST_LOOK, LONGEST_PAUSE = 2.0, 30.0  # seconds between two looks at a job, doubling
WIDEST_CELL = 2**24  # characters; the csv module gives up at 131,072, which is what one long text field may hold
REFUSED = (CrmConfigError, MissingScope, TooLarge)

Table = tuple[list[str], list[list[str]]]
Cell = Callable[[str], Value]


class JobLost(Exception):
    """The job was refused, failed, was aborted or is gone: the rows have to be read in another way. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a read of a job's results stands."""

    job: str
    listed: str = ""
    taken: int = 0
    row: int = 0

    def mark(self) -> dict[str, str]:
        """The place as bookmark keys."""
        found = {"job": self.job, "listed": self.listed, "taken": str(self.taken), "row": str(self.row)}
        return {key: value for key, value in found.items() if value not in ("", "0")}

    @classmethod
    def of(cls, mark: Mapping[str, str]) -> Place | None:
        if "job" not in mark:
            return None
        return cls(mark["job"], mark.get("listed", ""), int(mark.get("taken", "0")), int(mark.get("row", "0")))


class Jobs:
    """Query jobs of one connection."""

    def __init__(self, client: Client, schema: Schema, settings: SalesforceSettings) -> None:
        self._client = client
        self._schema = schema
        self._settings = settings

    def start(self, query: str) -> Place:
        """A new job over live, deleted and archived rows. Raises JobLost if the org takes none: no right, no quota, no such object in bulk."""
        try:
            made = self._client.json("POST", "jobs/query", data=orjson.dumps({"operation": "queryAll", "query": query}))
        except REFUSED as refused:
            raise JobLost(refused.message) from None
        identity = made.get("id") if isinstance(made, dict) else None
        if not isinstance(identity, str) or not identity.isalnum():
            raise JobLost("the org answered a new job without its id")
        self._client.pause(FIRST_LOOK)
        return Place(identity)

    def wait(self, place: Place) -> None:
        """Look at the job until it is complete: after 2 s, then at pauses that double up to 30 s.

        Raises JobLost if it failed, was aborted or is gone; Transient if it still runs after ``bulk_wait``: the next run goes on with it.
        """
        pause = waited = FIRST_LOOK
        longest = self._settings.bulk_wait.total_seconds()
        while True:
            try:
                job = self._client.get(f"jobs/query/{place.job}")
            except REFUSED as gone:
                raise JobLost(gone.message) from None
            state = job.get("state") if isinstance(job, dict) else None
            if state == "JobComplete":
                return
            if state in ("Failed", "Aborted"):
                self.delete(place)
                raise JobLost(clean(f"{state} {job.get('errorMessage') or ''}"))
            pause = min(2 * pause, LONGEST_PAUSE)
            if waited + pause > longest:
                raise Transient(f"a bulk job still runs after {waited:.0f} s; the next run goes on with it")
            self._client.pause(pause)
            waited += pause

    def pages(self, place: Place, columns: Sequence[str], object_: str) -> Iterator[tuple[list[Row], Place]]:
        """(rows as REST would give them, the place after them) from a place on. Raises JobLost if the results are gone."""
        cells = self._cells(object_, columns)
        visited: set[str] = set()
        listing = place.listed or f"jobs/query/{place.job}/resultPages"
        while True:
            if listing in visited:
                raise NoProgress("the org names a list of result pages that has been read")
            visited.add(listing)
            urls, following = self._listed(listing)
            for number, table in enumerate(self._downloaded(urls[place.taken :]), place.taken):
                size = len(table[1])
                for start in range(place.row, size, self._settings.bulk_page):
                    end = min(start + self._settings.bulk_page, size)
                    after = replace(place, taken=number, row=end) if end < size else replace(place, taken=number + 1, row=0)
                    yield _rows(table, columns, cells, start, end), after
                place = replace(place, taken=number + 1, row=0)
            if following is None:
                return
            listing, place = following, Place(place.job, listed=following)

    def _listed(self, listing: str) -> tuple[list[str], str | None]:
        """(addresses of result pages, the list after this one)."""
        try:
            answer = self._client.get(listing)
        except (*REFUSED, CursorExpired) as gone:
            raise JobLost(gone.message) from None
        pages = answer.get("resultPages") if isinstance(answer, dict) else None
        urls = [page["resultUrl"] for page in pages or () if isinstance(page, dict) and isinstance(page.get("resultUrl"), str)]
        if not isinstance(pages, list) or len(urls) < len(pages):
            raise JobLost("the list of a job's result pages cannot be read")
        following = answer.get("nextRecordsUrl")
        return urls, None if answer.get("done", True) or following is None else str(following)

    def ids(self, query: str, object_: str) -> Iterator[list[str]]:
        """The ids that a query finds, page by page, by a job of its own."""
        place = self.start(query)
        try:
            self.wait(place)
            for rows, _ in self.pages(place, ("Id",), object_):
                yield [soql.to18(row["Id"]) for row in rows]
        finally:
            self.delete(place)

    def delete(self, place: Place) -> None:
        """Its rows are committed, or of no use. A job that stays is forgotten by the org after seven days."""
        try:
            self._client.request("DELETE", f"jobs/query/{place.job}")
        except (*REFUSED, Transient):
            return

    def _downloaded(self, urls: Sequence[str]) -> Iterator[Table]:
        """The pages in their order, a few of them on their way at the same time."""
        left = iter(urls)
        coming: deque[Future[Table]] = deque()
        try:
            for url in islice(left, PARALLEL):
                coming.append(self._client.workers.submit(self._download, url))
            while coming:
                try:
                    table = coming.popleft().result()
                except (*REFUSED, CursorExpired) as gone:
                    raise JobLost(gone.message) from None
                for url in islice(left, 1):
                    coming.append(self._client.workers.submit(self._download, url))
                yield table
        finally:
            for future in coming:
                future.cancel()

    def _download(self, url: str) -> Table:
        return self._client.read(url, parsed, headers={"Accept": "text/csv"})

    def _cells(self, object_: str, columns: Sequence[str]) -> list[Cell]:
        """For each column what its text means, by the description of the object it belongs to."""
        return [_cell(self._field(object_, column)) for column in columns]

    def _field(self, object_: str, column: str) -> Field | None:
        described = self._schema.known(object_)
        *path, name = column.split(".")
        for step in path:
            parent = described.parents.get(step.lower())
            if parent is None:
                return None  # several objects may stand there: their common fields are texts
            described = self._schema.known(parent)
        return described.fields.get(name) or next((f for n, f in described.fields.items() if n.lower() == name.lower()), None)


def parsed(response: requests.Response) -> Table:
    """(head, rows) of a result page. Raises Transient for one that is not whole: cut off, or no table at all."""
    csv.field_size_limit(WIDEST_CELL)
    try:
        reader = csv.reader(io.StringIO(response.content.decode("utf-8"), newline=""), strict=True)
        head = next(reader, [])
        rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error):
        raise Transient("a result page of a bulk job is damaged") from None
    told = response.headers.get("Sforce-NumberOfRecords", "")
    if "id" not in [name.lower() for name in head] or any(len(row) != len(head) for row in rows) or (told.isdigit() and int(told) != len(rows)):
        raise Transient("a result page of a bulk job is not whole")
    return head, rows


def _rows(table: Table, columns: Sequence[str], cells: Sequence[Cell], start: int, end: int) -> list[Row]:
    """Rows by the names asked for. Raises JobLost if the answer leaves one out."""
    place = {name.lower(): at for at, name in enumerate(table[0])}
    if any(column.lower() not in place for column in columns):
        raise JobLost("the results of a job leave out a column")
    read = [(column, place[column.lower()], cell) for column, cell in zip(columns, cells, strict=True)]
    return [{column: cell(row[at]) for column, at, cell in read} for row in islice(table[1], start, end)]


def _cell(field: Field | None) -> Cell:
    """Text → the value that REST would give. An empty cell is null; "NA" and "None" are text; what is no number stays text."""
    kind = field.type if field else "text"
    if kind == "boolean":
        return lambda text: text.lower() == "true" if text else None
    if kind in ("number", "money", "percent"):
        return lambda text: _number(text, float)
    if kind == "integer":
        return lambda text: _number(text, int)
    if kind == "datetime":
        return lambda text: f"{text[:-1]}+0000" if text.endswith("Z") else text or None
    return lambda text: text or None


def _number(text: str, kind: Callable[[str], Value]) -> Value:
    try:
        return kind(text) if text else None
    except ValueError:
        return text

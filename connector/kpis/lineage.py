"""From a number to its records and from a record to its numbers: measures joined with their evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.book.keys import account_index, contact_index, key_index, owner_index
from connector.kpis.definition import Kpi, Measure
from connector.kpis.inputs.tables import PLACE

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the CRM, or a line of an input file: its kind (see :data:`connector.kpis.evidence.IDENTITIES`) and id."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class Told:
    """A measure and the records it came from, each as the columns that say what counted of it."""

    measure: Measure
    records: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Counted(Told):
    """A measure in which a record counts. ``own``: the measure is about the record; ``records`` then are all of its, else those that name it."""

    own: bool


def rows(frame: pl.DataFrame | None) -> tuple[Fields, ...]:
    """Rows of evidence without the columns that none of them fills."""
    if frame is None:
        return ()
    filled = [name for name in frame.columns if name in frame.columns[:1] or frame[name].null_count() < frame.height]
    return tuple(frame.select(filled).iter_rows(named=True))


def told(kpi: Kpi, book: Book, *, subject: str | None = "company", variant: str | None = None, window: str | None = None) -> list[Told]:
    """The measures of a KPI with their records. Each filter is exact, None lets all pass; a KPI that has no company row passes ``company`` whole."""
    pairs = [(measure, frame) for measure, frame in kpi.evidenced(book) if variant in (None, measure.variant) and window in (None, measure.window)]
    if subject == "company" and not any(measure.subject == "company" for measure, _ in pairs):
        subject = None
    return [Told(measure, rows(frame)) for measure, frame in pairs if subject in (None, measure.subject)]


@derived
def _indexes(book: Book) -> dict[str, dict[str, str]]:
    """Kind → every spelling of an id → the id; the kinds people ask for first come first."""
    lines = [str(row[PLACE]) for table in book.inputs.tables.values() for row in table]
    return {
        "opportunity": key_index(book.deals["id"]), "account": account_index(book), "contact": contact_index(book), "owner": owner_index(book),
        "lead": key_index(book.leads["id"].drop_nulls()), "ticket": key_index(book.tickets["id"].drop_nulls()),
        "activity": key_index(book.activities["id"].drop_nulls()), "input": {line: line for line in lines},
    }  # fmt: skip


def find(book: Book, id: str, kind: str | None = None) -> Record | None:
    """The record that a spelling of an id names (with its connection or without, Salesforce's 15 or 18 characters, a line of an input
    file); a merged account is its survivor. ``kind``: only of this one. None where the book holds none."""
    bare = id.rpartition(":")[2]
    spellings = [id, bare, *([bare[:15]] if len(bare) == 18 else [])]
    for name, index in _indexes(book).items():
        found = next((index[spelling] for spelling in (spellings if name != "input" else [id]) if spelling in index), None)
        if found is not None and kind in (None, name):
            return Record(name, found)
    return None


def counted(kpi: Kpi, book: Book, record: Record) -> Iterator[Counted]:
    """The measures of a KPI that are about a record, and then those among whose records it is."""
    others: list[Counted] = []
    for measure, frame in kpi.evidenced(book):
        if f"{record.kind}={record.id}" in measure.subject.split(","):
            yield Counted(measure, rows(frame), True)
        elif frame is not None and record.kind in frame.columns:
            mine = frame.filter(pl.col(record.kind) == record.id)
            if mine.height:
                others.append(Counted(measure, rows(mine), False))
    yield from others


def why_not(book: Book, record: Record) -> list[str]:
    """What a book knows of a record that may keep it out of a KPI, in plain words; nothing where it knows nothing."""
    if record.kind != "opportunity":
        deals = book.deals.filter(pl.col(record.kind) == record.id).height if record.kind in ("account", "owner") else None
        return [f"{deals or 'no'} deal{'' if deals == 1 else 's'} of it {'is' if deals == 1 else 'are'} in the book"] if deals is not None else []
    row = book.deals.row(by_predicate=pl.col("id") == record.id, named=True)
    since = f" since {row['closed']}" if row["closed"] is not None else ""
    facts = [f"void{since}: void deals count nowhere"] if row["cls"] == "void" else [f"{row['cls'].replace('_', ' ')}{since}"]
    if row["cls"] != "void" and record.id not in set(book.new_business["id"]):
        facts.append(f"its type is {row['deal_type'] or 'unknown'}: not new business")
    facts += [f"its stage {row['raw_stage'] or ''} is not mapped".replace("  ", " ")] if row["stage"] is None else []
    facts += ["parked"] if row["kind"] == "parked" else []
    facts += ["no stage history"] if not row["has_history"] else []
    facts += [f"{row[why].replace('_', ' ')}" for why in ("amount_why", "arr_why") if row[why]]
    return facts

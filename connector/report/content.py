"""What a report shows, as plain values: no HTML, no chart library. Everything that a page or a test needs stands here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from connector.kpis.targets import Breach

Mark = Literal["", "good", "warn", "bad", "quiet"]
Value = float | int | bool | str | Decimal | date | None
ChartKind = Literal["coverage", "funnel", "survival", "gates", "intervals", "gaps"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: as it is (None: unknown) and as it is read. ``note`` stands smaller under it; ``mark`` says how it is doing."""

    value: Value
    text: str
    note: str = ""
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A head, and whether its cells are numbers (right-aligned), text, or an empty box to be ticked."""

    head: str
    kind: Literal["text", "number", "box"] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, columns and rows; the first cell of a row names it. ``empty``: what to say where there is no row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = "none"

    def column(self, head: str) -> list[Value]:
        """The values under a head."""
        place = [column.head for column in self.columns].index(head)
        return [row[place].value for row in self.rows]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart draws: its kind (a function of :mod:`connector.report.charts`), rows, and limits or domains as ``options``.

    ``description`` says in words what is to be seen, for those who do not see it.
    """

    kind: ChartKind
    title: str
    rows: tuple[Mapping[str, Value], ...]
    description: str
    options: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """Charts of one thing, on one scale, and their numbers as a table: ``beside`` them, or below where either needs the width."""

    charts: tuple[Chart, ...]
    table: Table
    beside: bool = True


@dataclass(frozen=True, slots=True)
class Card:
    """One number of the week: large, with what it was, and what it is judged by."""

    label: str
    cell: Cell
    lines: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence that says what is to be seen, then cards, figures, tables and notes. ``missing``: what to add where inputs lack."""

    key: str
    title: str
    lead: str
    cards: tuple[Card, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Stale:
    """A deal to be scrubbed: who has it, where it is, what it is worth (reporting currency), why it is on the list."""

    opportunity: str
    name: str | None
    owner: str | None
    stage: str
    days_in_stage: int | None
    amount: Decimal | None
    reasons: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The weekly review of one connection. ``facts``: label → text of the head; ``breaches``: missed targets, the worst first."""

    project: str
    connection: str
    as_of: datetime
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    scrub: tuple[Stale, ...]
    breaches: tuple[Breach, ...] = ()

    @property
    def verdict(self) -> str:
        """The numbers of the week in one line."""
        cards = next((section.cards for section in self.sections if section.key == "numbers"), ())
        return " · ".join(f"{card.label} {card.cell.text}" for card in cards)

    def section(self, key: str) -> Section:
        """Raises LookupError where the report has no such section."""
        for section in self.sections:
            if section.key == key:
                return section
        raise LookupError(key)

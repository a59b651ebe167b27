"""connector explain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import deals, kpis, views
from connector.cli.output import Answer, Table, count
from connector.cli.project import AsOf, ConnectionOption, command, instant, opened
from connector.errors import StateError, UsageError
from connector.kpis.catalogue import NAMES

if TYPE_CHECKING:
    from connector.app import App
    from connector.kpis.book.book import Book
    from connector.kpis.lineage import Counted, Record

MEASURES, RECORDS = 12, 5
"""Values, and records of each, that a person sees; --json has all."""


def explain(
    id: Annotated[str, typer.Argument(metavar="ID", help="the deal's id in the CRM, or CONNECTION:ID; with a KPI any record, or KIND=ID")],
    kpi: Annotated[str | None, typer.Option(help="one scorecard key, such as pace, or any KPI: where the record counts in it")] = None,
    connection: ConnectionOption = None,
    as_of: AsOf = None,
) -> Answer:
    """A deal's scorecard, value by value: what it should be, what the CRM holds, and the rows it comes from; or a record's part in a KPI."""
    from connector.scorecard.fields import KEYS

    if kpi is not None and kpi not in KEYS and kpi not in NAMES:
        near = get_close_matches(kpi, [*KEYS, *NAMES], n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise UsageError(f"{kpi} is no scorecard key and no KPI{hint} Keys: {', '.join(KEYS)}", next_step=f"{command()} kpis list")
    with opened() as app:
        at = instant(as_of, app)
        return _in_kpi(app, id, kpi, connection, at) if kpi in NAMES else _scorecard(app, id, kpi, connection, at)


def _scorecard(app: App, id: str, key: str | None, connection: str | None, at: datetime | None) -> Answer:
    """The scorecard of an open deal, or one key of it."""
    from connector.kpis.cards.deal import scorecards

    name, record = deals.find(app, id, connection)
    book = kpis.books(app, [name], at)[name]
    card = scorecards(book).get(record)
    if card is None:
        raise StateError(f"{record} is closed: scorecards are for open deals", code="SC-E184", next_step="connector explain an open deal")
    seen = app.store.observed(name)[record]
    values = [v for v in deals.shown(app, name, record, card, seen) if key in (None, v.key)]
    said = seen.name if seen.name and app.resolved.settings.privacy.names else ""
    apart = sum(v.value != v.held for v in values)
    state = f"{apart} of {len(values)} values differ in the CRM" if apart else "the CRM holds all of it"
    text: list[str | Table] = [f"{name}:{record} · {state} · {_as_of(book)}", *([said] if said else [])]
    for v in values:
        held = "" if v.value == v.held else f"   (the CRM holds {v.held or 'nothing'})"
        text += ["", f"{v.key} = {v.value or 'empty'}{held}", *(f"  ├ {why}" for why in v.why)]
    result = {v.key: {"field": v.field, "value": v.value, "observed": v.held, "why": list(v.why)} for v in values}
    return Answer({"connection": name, "id": record, "keys": len(values), "differ": apart}, result, text)


def _as_of(book: Book) -> str:
    return f"as of {book.as_of:%Y-%m-%d %H:%M} UTC"


def _in_kpi(app: App, id: str, kpi: str, connection: str | None, at: datetime | None) -> Answer:
    """The values of a KPI that are about a record, and those in which it counts."""
    from connector.kpis import lineage
    from connector.kpis.definition import REGISTRY

    name, book, record = _found(app, id, connection, at)
    found = list(lineage.counted(REGISTRY[kpi], book, record))
    facts = [] if found else lineage.why_not(book, record)
    text: list[str | Table] = [f"{record} of {name} counts in {count(len(found), 'value')} of {kpi} · {_as_of(book)}"]
    text += _lines(found, book) if found else [*(f"  ├ {fact}" for fact in facts), f"What {kpi} counts: {command()} kpis show {kpi}"]
    measures = [told.measure.as_dict() | {"of_the_record": told.own, "evidence": told.records} for told in found]
    result = {"kpi": kpi, "kind": record.kind, "id": record.id, "measures": measures, "why_not": facts}
    return Answer({"connection": name, "id": record.id, "kpi": kpi, "measures": len(found)}, result, text)


def _lines(found: Sequence[Counted], book: Book) -> list[str | Table]:
    lines: list[str | Table] = []
    for told in found[:MEASURES]:
        lines += ["", views.title(told.measure, book.settings.calendar.currency)]
        for fields in told.records[:RECORDS]:
            lines.append("  ├ " + ", ".join(f"{column} {views.cell(value)}" for column, value in fields.items() if value is not None))
        if len(told.records) > RECORDS:
            lines.append(f"  └ {count(len(told.records) - RECORDS, 'more record')}: --json")
    return [*lines, *(["", f"{count(len(found) - MEASURES, 'more value')}: --json"] if len(found) > MEASURES else [])]


def _found(app: App, id: str, connection: str | None, at: datetime | None) -> tuple[str, Book, Record]:
    """(connection, its book, the record) of ID, CONNECTION:ID, KIND=ID or a line of an input. Raises StateError SC-E184 with what is known."""
    from connector.kpis import lineage

    kind, _, bare = id.rpartition("=")
    before, _, after = bare.partition(":")
    scoped = before in app.resolved.settings.connections
    names, wanted = app.names(before if scoped else connection), after if scoped else bare
    for name in names:
        book = kpis.books(app, [name], at)[name]
        record = lineage.find(book, wanted, kind or None)
        if record is not None:
            return name, book, record
    fates = [(name, fate) for name in names if (fate := app.store.fate(name, wanted)) is not None]
    if fates:
        name, fate = fates[0]
        told = "its pipeline is left out by the mapping, or it was not there yet" if fate == "live" else f"it is {fate} in {name}"
        raise StateError(f"{wanted} counts nowhere: {told}", code="SC-E184", next_step="connector explain the record that stands for it")
    raise StateError(f"no record {wanted} in the state", code="SC-E184", next_step="connector sync --pull-only, or check the id")

"""connector explain."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli import deals, kpis
from connector.cli.output import Answer, Table
from connector.cli.project import AsOf, ConnectionOption, instant, opened
from connector.errors import StateError, UsageError


def explain(
    id: Annotated[str, typer.Argument(metavar="ID", help="the deal's id in the CRM, or CONNECTION:ID")],
    kpi: Annotated[str | None, typer.Option(help="one scorecard key only, such as pace")] = None,
    connection: ConnectionOption = None,
    as_of: AsOf = None,
) -> Answer:
    """A deal's scorecard, value by value: what it should be, what the CRM holds, and the rows it comes from."""
    from connector.kpis.scorecards import scorecards
    from connector.scorecard.fields import KEYS

    if kpi is not None and kpi not in KEYS:
        raise UsageError(f"{kpi} is no scorecard key; known: {', '.join(KEYS)}")
    with opened() as app:
        name, record = deals.find(app, id, connection)
        book = kpis.books(app, [name], instant(as_of, app))[name]
        card = scorecards(book).get(record)
        if card is None:
            raise StateError(f"{record} is closed: scorecards are for open deals", code="SC-E184", next_step="connector explain an open deal")
        seen = app.store.observed(name)[record]
        values = [v for v in deals.shown(app, name, card, seen) if kpi in (None, v.key)]
        said = seen.name if seen.name and app.resolved.settings.privacy.deal_names == "show" else ""
    apart = sum(v.value != v.held for v in values)
    state = f"{apart} of {len(values)} values differ in the CRM" if apart else "the CRM holds all of it"
    text: list[str | Table] = [f"{name}:{record} · {state} · as of {book.as_of:%Y-%m-%d %H:%M} UTC", *([said] if said else [])]
    for v in values:
        held = "" if v.value == v.held else f"   (the CRM holds {v.held or 'nothing'})"
        text += ["", f"{v.key} = {v.value or 'empty'}{held}", *(f"  ├ {why}" for why in v.why)]
    result = {v.key: {"field": v.field, "value": v.value, "observed": v.held, "why": list(v.why)} for v in values}
    return Answer({"connection": name, "id": record, "keys": len(values), "differ": apart}, result, text)

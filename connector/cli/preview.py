"""connector preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import deals, kpis
from connector.cli.output import Answer, count
from connector.cli.project import ConnectionOption, opened
from connector.errors import StateError

if TYPE_CHECKING:
    from connector.app import App


def preview(
    connection: ConnectionOption = None,
    id: Annotated[str | None, typer.Option("--id", help="this deal")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many open deals of each connection")] = 1,
) -> Answer:
    """Open deals in canonical form, as last pulled: their own stage → ours, and the scorecard they should show. Writes nothing."""
    text: list[str] = []
    result: dict[str, object] = {}
    with opened() as app:
        if id is not None:
            name, record = deals.find(app, id, connection)
            _show(app, name, [record], 1, text, result)
            if not result:
                raise StateError(f"{record} is closed, or its stage is not mapped", code="SC-E184", next_step="choose an open deal")
        else:
            for name in app.names(connection):
                _show(app, name, None, limit, text, result)
    return Answer({"deals": len(result)}, result, [f"{count(len(result), 'deal')} in canonical form; nothing was written", *text])


def _show(app: App, name: str, wanted: list[str] | None, limit: int, text: list[str], result: dict[str, object]) -> None:
    """The first open deals of a connection, or those wanted, added to text and result."""
    from connector.kpis.cards.deal import scorecards

    cards = scorecards(kpis.books(app, [name], None)[name])
    seen = app.store.observed(name)
    raw = {i: (pipeline, stage) for i, pipeline, stage in app.store.deal_stages(name)}
    own = app.mapping(name).pipeline_names
    names = app.resolved.settings.privacy.names
    for deal in [d for d in (wanted or sorted(cards)) if d in cards][:limit]:
        card, (pipeline, stage) = cards[deal], raw[deal]
        text += ["", f"{name}:{deal}  {seen[deal].name or ''}" if names else f"{name}:{deal}"]
        text.append(f'  {own.get(pipeline or "", pipeline)} "{stage}" → {card.text["stage"] or "NOT MAPPED"}')
        values = list(deals.shown(app, name, deal, card, seen[deal]))
        wide = max((len(v.field) for v in values), default=0)
        text += [f"  {v.field:<{wide}}  {v.value or '(empty)'}" for v in values]
        result[deal] = {"connection": name, **card.as_dict()}

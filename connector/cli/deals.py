"""One deal as several verbs show it: where it is, and its scorecard value by value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.errors import StateError

if TYPE_CHECKING:
    from connector.app import App
    from connector.kpis.cards.deal import Scorecard
    from connector.state.store import Seen


@dataclass(frozen=True, slots=True)
class Shown:
    """One scorecard value. ``value``: what it should be; ``held``: what the CRM has, as last read; both as text, None for empty."""

    key: str
    label: str
    field: str
    value: str | None
    held: str | None
    why: tuple[str, ...]


def find(app: App, id: str, connection: str | None) -> tuple[str, str]:
    """(connection, record) of a deal given as ID or CONNECTION:ID; 15-character Salesforce ids too. Raises StateError SC-E184 if none holds it."""
    before, _, after = id.rpartition(":")
    for name in app.names(before or connection):
        known = app.store.observed(name)
        found = next((k for k in known if k == after or (len(after) == 15 and k.startswith(after))), None)
        if found:
            return name, found
    raise StateError(f"no deal {id} in the state", code="SC-E184", next_step="connector sync --pull-only, or check the id")


def shown(app: App, name: str, id: str, card: Scorecard, seen: Seen) -> Iterator[Shown]:
    """The scorecard of an open deal in the order of the keys: those that the mapping writes."""
    from connector import grains
    from connector.scorecard import fields
    from connector.scorecard.fields import KEYS, MANIFEST

    targets = grains.targets(app.mapped(name), app.definitions)
    target = next((targets[grain] for grain in grains.DEALS if grain in targets), None)
    if target is None:
        return
    beside = app.store.scorecard_rows(name, target.object).get(id) if target.key_field else seen
    observed = beside.observed if beside else {}
    desired = grains.desired_values(card)
    for key in KEYS:
        if key not in target.field_names:
            continue
        field, inside = MANIFEST[key], desired.values[key]
        if key == "stage" and target.crm == "salesforce":
            inside = target.stage_labels.get(str(inside), inside)
        value = fields.text(field, fields.wire(field, inside, target.crm))
        held = fields.text(field, observed.get(target.field_names[key]))
        yield Shown(key, field.label, target.field_names[key], value, held, tuple(desired.why.get(key, ())))

"""From what the mapping switches on to the properties a HubSpot portal should have, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from connector.crms.base import Grain, Option
from connector.crms.provisioning import FieldSpec, ObjectSpec, SpecType, Wanted
from connector.model import scorecard_fields
from connector.model.ladder import Ladder
from connector.model.scorecard_fields import Row
from connector.scorecard import calculated, rows
from connector.scorecard.fields import MANIFEST, Kind, ScorecardField
from connector.scorecard.formulas import Terms
from connector.scorecard.rows import HELP, Shape
from connector.scorecard.wanted import ABOUT, OFF, WRITTEN, Switches, written_fields

COMPUTED = f"{ABOUT} Calculated by HubSpot."
TYPES: Mapping[Kind, SpecType] = {
    "text": "text", "list": "text", "stage": "picklist", "choice": "picklist", "date": "date", "datetime": "datetime", "number": "number",
    "percent": "percent", "money": "money", "flag": "boolean",
}  # fmt: skip
NO_ROWS = "owners and companies of HubSpot take no rows of ours: console and exports"


def hubspot(switches: Switches, terms: Callable[[Mapping[str, str], str], Terms]) -> Wanted:
    """Every property that a portal should have. ``terms``: see wanted.salesforce."""
    left_out: dict[str, str] = {}
    found = [_deal(switches, terms, left_out)]
    sides: tuple[tuple[Grain, Mapping[str, str | None], Sequence[Row]], ...] = (
        ("account", switches.account, scorecard_fields.ACCOUNT),
        ("contact", switches.contact, scorecard_fields.CONTACT),
    )
    for grain, switched, known in sides:
        fields = tuple(_plain(row, name) for row in known if (name := switched.get(row.key)) is not None)
        if fields:
            found.append(ObjectSpec(grain, switches.objects[grain], fields))
    left_out |= {grain: NO_ROWS for grain, name in (("rep", switches.rep), ("snapshot", switches.snapshot)) if name is not None}
    return Wanted(tuple(found), left_out, frozenset(switches.own.values()))


def _deal(switches: Switches, terms: Callable[[Mapping[str, str], str], Terms], left_out: dict[str, str]) -> ObjectSpec:
    written = written_fields(switches, left_out, partial(written_property, terms({}, "").ladder))
    live: tuple[FieldSpec, ...] = ()
    if switches.mode != "two_fields":
        live = _live(switches, terms({spec.key: spec.name for spec in written}, ""), left_out)
    return ObjectSpec("opportunity", switches.objects["opportunity"], (*written, *live))


def written_property(ladder: Ladder, known: ScorecardField, name: str) -> FieldSpec:
    """A written property of the deal. Stage and pace hold keys and show labels, so that a rung can be renamed without a write."""
    labels = {rung.key: rung.label for rung in ladder.ladder} if known.kind == "stage" else known.labels or {}
    options, type_ = tuple(Option(key, label) for key, label in labels.items()), TYPES[known.kind]
    return FieldSpec(known.key, name, _label(known.label, type_), type_, scale=known.scale, options=options, help=f"{HELP[known.key]} {WRITTEN}")


def _live(switches: Switches, terms: Terms, left_out: dict[str, str]) -> tuple[FieldSpec, ...]:
    formulas, lacking = calculated.compiled(terms)
    made = []
    for row in rows.LIVE:
        if row.key in MANIFEST:
            continue  # written here: a sum is blank as soon as one of its terms is missing
        name = switches.opportunity.get(row.key, None if row.key in OFF else row.hubspot)
        if name is None:
            left_out[row.key] = "switched off in the mapping" if row.key in switches.opportunity else "off unless the mapping names it"
        elif row.key in lacking:
            left_out[row.key] = lacking[row.key]
        else:
            made.append(_calculated(row, name, formulas[row.key]))
    return tuple(made)


HELP_HERE: Mapping[str, str] = {
    "pilot_days": "Days from the pilot's start to its end. Gaps between pilots count here; Pilot limit leaves them out.",
    "secq_days": "Days from the security questionnaire's arrival to its return.",
}
"""Where HubSpot's value is another than Salesforce's, which runs on to today."""


DATED = "Empty while a date is missing."
EMPTY: Mapping[str, str] = {"weighted_amount": "Empty or 0 while the amount or the win chance is missing."}
"""What an empty value says, where it is not that a date is missing. Whether a missing term blanks a branch that is not taken, HubSpot decides."""


def _calculated(row: Row, name: str, formula: str) -> FieldSpec:
    shape, help_ = Shape.of(row.shape), f"{HELP_HERE.get(row.key, row.help)} {COMPUTED} {EMPTY.get(row.key, DATED)}"
    return FieldSpec(row.key, name, _label(row.label, shape.type), shape.type, formula=formula, help=help_)


def _plain(row: Row, name: str) -> FieldSpec:
    shape = Shape.of(row.shape)
    options = tuple(Option(key, label) for key, label in scorecard_fields.TIERS) if row.key == "health_tier" else ()
    return FieldSpec(row.key, name, _label(row.label, shape.type), shape.type, scale=shape.scale, options=options, help=f"{row.help} {WRITTEN}")


def _label(label: str, type_: SpecType) -> str:
    """Numbers shown as money are read as the company's currency by whoever reads them, so the label says that they are."""
    return f"{label} (company currency)" if type_ == "money" else label

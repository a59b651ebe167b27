"""From what the mapping switches on to the fields a CRM should have, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.crms.base import Grain, Option
from connector.crms.provisioning import FieldSpec, ObjectSpec, Wanted
from connector.model import scorecard_fields
from connector.model.scorecard_fields import ANCHORS, CALCULATED, COMPANION_OBJECT, TWO_FIELDS, Row
from connector.scorecard import rows
from connector.scorecard.fields import MANIFEST, ScorecardField
from connector.scorecard.formulas import Terms, compiled
from connector.scorecard.rows import DIGITS, HELP, Shape

Mode = Literal["record", "two_fields", "companion"]
OFF = frozenset({"weighted_amount"})
"""Live fields that are made only where the mapping names them."""
ABOUT = "Scorecard Connector."
TICKING = f"{ABOUT} Formula, never written. Blank when a date is missing (BlankAsBlank on purpose)."
WRITTEN = f"{ABOUT} Written by the connector; an edit by hand is put right at its next run."


@dataclass(frozen=True, slots=True)
class Switches:
    """What the mapping says of the scorecard: key → name of the field, None: switched off. Objects are switched on by their name.

    ``objects``: names of the CRM's own objects by grain; ``own``, ``instants``: see formulas.Terms; ``zone``: the time zone that KPIs use.
    """

    crm: Literal["salesforce", "hubspot"]
    mode: Mode
    objects: Mapping[Grain, str]
    opportunity: Mapping[str, str | None]
    account: Mapping[str, str | None] = field(default_factory=dict)
    contact: Mapping[str, str | None] = field(default_factory=dict)
    rep: str | None = None
    snapshot: str | None = None
    own: Mapping[str, str] = field(default_factory=dict)
    instants: frozenset[str] = frozenset()
    zone: str = "UTC"


def salesforce(switches: Switches, terms: Callable[[Mapping[str, str], str], Terms]) -> Wanted:
    """Every object and field that a Salesforce org should have.

    ``terms``: makes what formulas are compiled from, given the written fields that are there and what stands before a field of the deal.
    """
    left_out: dict[str, str] = {}
    found = [_deal(switches, terms, left_out)]
    sides: tuple[tuple[Grain, Mapping[str, str | None], Sequence[Row]], ...] = (
        ("account", switches.account, scorecard_fields.ACCOUNT),
        ("contact", switches.contact, scorecard_fields.CONTACT),
    )
    for grain, switched, known in sides:
        if fields := _named(known, switched):
            found.append(ObjectSpec(grain, switches.objects[grain], fields))
    if switches.rep is not None:
        found.append(_own("rep", switches.rep, scorecard_fields.REP, "Rep scorecard", "One row per rep and period.", {"user": "User"}))
    if switches.snapshot is not None:
        found.append(_own("snapshot", switches.snapshot, scorecard_fields.SNAPSHOT, "KPI snapshot", "One row per KPI, subject, window and day.", {}))
    return Wanted(tuple(found), left_out, frozenset(switches.own.values()))


def _deal(switches: Switches, terms: Callable[[Mapping[str, str], str], Terms], left_out: dict[str, str]) -> ObjectSpec:
    companion, deal = switches.mode == "companion", switches.objects["opportunity"]
    written = written_fields(switches, left_out, written_field)
    live: tuple[FieldSpec, ...] = ()
    if switches.mode != "two_fields":
        ours = {spec.key: spec.name for spec in written}
        live = _live(switches, terms(ours, "KPI_Opportunity__r." if companion else ""), left_out)
    if not companion:
        return ObjectSpec("opportunity", deal, (*written, *live))
    head = _named(scorecard_fields.COMPANION, {row.key: row.salesforce for row in scorecard_fields.COMPANION}, refers={"deal": deal})
    about = f"{ABOUT} One row per open deal, so that the deal itself is never written."
    return ObjectSpec("companion", COMPANION_OBJECT, (*head, *written, *live), True, "Deal scorecard", "Deal scorecards", about)


def written_fields(switches: Switches, left_out: dict[str, str], made_by: Callable[[ScorecardField, str], FieldSpec]) -> tuple[FieldSpec, ...]:
    """Those of the manifest that are switched on; ``left_out`` hears of the others. ``made_by``: field and its name in the CRM → as it should be."""
    made = []
    for key, known in MANIFEST.items():
        if key in CALCULATED[switches.crm] or (key in ANCHORS and (key in switches.own or switches.opportunity.get(key) is None)):
            continue
        if switches.mode == "two_fields":
            both = TWO_FIELDS[switches.crm]
            name = switches.opportunity.get(key, both[key]) if key in both else None
            why = "switched off in the mapping" if key in both else "the mode is two_fields"
        else:
            name, why = switches.opportunity.get(key), "switched off in the mapping" if key in switches.opportunity else "not named in the mapping"
        if name is None:
            left_out[key] = why
        else:
            made.append(made_by(known, name))
    return tuple(made)


def written_field(known: ScorecardField, name: str) -> FieldSpec:
    """A written field of the deal as it should be in Salesforce."""
    shapes = {
        "text": f"Text({known.length})", "list": f"Text({known.length})", "stage": f"Text({known.length})", "date": "Date", "datetime": "DateTime",
        "choice": "Picklist", "number": f"Number({DIGITS.get(known.key, 0)},{known.scale})",
        "percent": f"Percent({DIGITS.get(known.key, 0)},0)",
    }  # fmt: skip
    options = tuple(Option(label, label) for label in (known.labels or {}).values())
    return _spec(Row(known.key, known.label, known.salesforce, shapes[known.kind], HELP[known.key]), name, options=options)


def _live(switches: Switches, terms: Terms, left_out: dict[str, str]) -> tuple[FieldSpec, ...]:
    formulas, lacking = compiled(terms)
    zone = f"Days are counted in your own time zone; the scorecard's is {switches.zone}."
    made = []
    for row in rows.LIVE:
        name = switches.opportunity.get(row.key, None if row.key in OFF else row.salesforce)
        if name is None:
            left_out[row.key] = "switched off in the mapping" if row.key in switches.opportunity else "off unless the mapping names it"
        elif row.key in lacking:
            left_out[row.key] = lacking[row.key]
        else:
            formula = formulas[row.key]
            made.append(_spec(row, name, formula=formula, help=f"{row.help} {zone}" if "DATEVALUE(" in formula else row.help))
    return tuple(made)


def _named(known: Sequence[Row], switched: Mapping[str, str | None], *, refers: Mapping[str, str] | None = None) -> tuple[FieldSpec, ...]:
    """The fields that are switched on, in the order of the manifest."""
    tiers = tuple(Option(label, label) for _, label in scorecard_fields.TIERS)
    made = []
    for row in known:
        name = switched.get(row.key)
        if name is not None:
            refers_to = (refers or {}).get(row.key)
            made.append(_spec(row, name, options=tiers if row.key == "health_tier" else (), refers_to=refers_to))
    return tuple(made)


def _own(grain: Grain, name: str, known: Sequence[Row], label: str, about: str, refers: Mapping[str, str]) -> ObjectSpec:
    """An object of ours with all its fields."""
    fields = _named(known, {row.key: row.salesforce for row in known}, refers=refers)
    return ObjectSpec(grain, name, fields, True, label, f"{label}s", f"{ABOUT} {about}")


def _spec(
    row: Row, name: str, *, options: tuple[Option, ...] = (), formula: str | None = None, help: str = "", refers_to: str | None = None
) -> FieldSpec:
    shape = Shape.of(row.shape)
    return FieldSpec(
        row.key, name, row.label, shape.type, shape.length, shape.precision, shape.scale, options, formula,
        help or row.help, TICKING if formula is not None else WRITTEN, row.key == "key" and shape.type == "text", refers_to,
    )  # fmt: skip

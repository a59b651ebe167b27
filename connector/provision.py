"""Provisioning, which is a plan of its own: the fields that the mapping asks for against those that the CRM has, and what would bring them there.

The daily sync never comes here: making fields takes an administrator's login, which is given for one command and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from connector.connected import Definitions, MappedConnection
from connector.crms.manifest import PREFIX
from connector.crms.provisioning import FieldSpec, ObjectSpec, Observed, Piece, Provisioner, ProvisionResult, Seen, Wanted
from connector.errors import CODES, Finding, SettingsError
from connector.mapping import names
from connector.mapping.schema import CrmMapping
from connector.model.scorecard_fields import MOST_DIGITS
from connector.scorecard import properties
from connector.scorecard import wanted as manifest
from connector.scorecard.formulas import Terms, normal
from connector.scorecard.wanted import Switches

Action = Literal["create", "change", "grant", "conflict", "ok"]
ACTIONS: tuple[Action, ...] = ("create", "change", "grant", "conflict", "ok")
LONGEST_TEXT = 255
MOST_FORMULA_SHOWN = 160
NO_RIGHT = "SC-E153"
NOT_SEEN = "not there, or hidden from the connection's user"


@dataclass(frozen=True, slots=True)
class FieldState:
    """One field, desired against actual. ``said``: each difference in words; ``placed``: whether some page shows it, None: not known.

    ``action``: create it; change it to what is wanted; grant access to it; conflict: it is another thing under its name, which is never changed.
    ``refused``: (code, why) of what a push would meet with the field as it is, whatever the action: no right to edit, too short, options lacking.
    """

    object: str
    name: str
    key: str
    action: Action
    said: tuple[str, ...] = ()
    formula: str | None = None
    placed: bool | None = None
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ProvisionPlan:
    """What provisioning would do. ``unused``: fields of ours that no mapping names, never touched. ``checked``: what the CRM's own compiler said,
    None: it was not asked. ``quota``: object → fields that may still be made, None: not known. ``unread``: pages that could not be looked into.
    """

    wanted: Wanted
    fields: tuple[FieldState, ...]
    pieces: tuple[Piece, ...]
    unused: tuple[str, ...]
    quota: Mapping[str, int | None]
    unread: tuple[str, ...] = ()
    checked: ProvisionResult | None = None

    @property
    def changes(self) -> bool:
        return any(state.action not in ("ok", "conflict") for state in self.fields) or any(
            piece.action in ("create", "change") for piece in self.pieces
        )

    @property
    def conflicts(self) -> tuple[Finding, ...]:
        return tuple(
            Finding("SC-E151", f"{state.object}.{state.name} {state.said[0]}", next=CODES["SC-E151"].next_step)
            for state in self.fields
            if state.action == "conflict"
        )


def wanted(mapped: MappedConnection, definitions: Definitions) -> Wanted:
    """What the connection's CRM should have, by its mapping and by the project's stages and KPI settings. Raises SettingsError."""
    switches = switched(mapped.mapping, definitions.kpis.calendar.time_zone)

    def terms(ours: Mapping[str, str], parent: str) -> Terms:
        return Terms(definitions.ladder, definitions.kpis, switches.own, ours, parent, switches.instants)

    if mapped.kind == "hubspot":
        return properties.hubspot(switches, terms)
    if mapped.kind != "salesforce":
        raise SettingsError(f"fields of {mapped.kind} are not provisioned by the connector")
    return manifest.salesforce(switches, terms)


def switched(mapping: CrmMapping, zone: str) -> Switches:
    """The scorecard section of a mapping, and the company's own fields that formulas may read."""
    card, crm = mapping.scorecard, mapping.crm
    own: dict[str, str] = {}
    for canonical in (*names.DATES, "arr", "capital_amount"):
        source = mapping.field(canonical)
        if source is not None and source.from_ is not None and not source.presence:
            own[canonical] = source.from_
    instants = frozenset(key for key in own if (source := mapping.field(key)) is not None and source.type == "datetime")
    rep = card.rep.object if card.rep is not None else None
    return Switches(
        crm=crm, mode=card.mode, opportunity=dict(card.opportunity), account=dict(card.account), contact=dict(card.contact), rep=rep,
        objects={"opportunity": mapping.opportunities.object, "account": names.ACCOUNT_OBJECT[crm], "contact": names.CONTACT_OBJECT[crm]},
        snapshot=card.snapshot.object if card.snapshot is not None else None, own=own, instants=instants, zone=zone,
    )  # fmt: skip


def look(wanted: Wanted, own: Provisioner, admin: Provisioner | None, user_id: str) -> ProvisionPlan:
    """Desired against actual, as the connection's user sees it; an administrator's credential knows more of what is hidden from that user."""
    seen = own.observe(wanted)
    more = admin.observe(wanted) if admin is not None else {}
    wanted = _roomier(wanted, seen, more)
    states = tuple(state for spec in wanted.objects for state in _states(spec, seen[spec.name], more.get(spec.name)))
    pieces = tuple((admin or own).pieces(wanted, user_id))
    best = {spec.name: more.get(spec.name) or seen[spec.name] for spec in wanted.objects}
    return ProvisionPlan(
        wanted, states, pieces, tuple(_unused(wanted, seen, more)), {name: found.quota for name, found in best.items()},
        tuple(sorted({page for found in best.values() for page in found.pages})),
    )  # fmt: skip


def _roomier(wanted: Wanted, seen: Mapping[str, Observed], more: Mapping[str, Observed]) -> Wanted:
    """What is wanted, with the room that an administrator has given a field beyond ours: a deployment names sizes, and would take it back."""

    def kept(object_: str, field: FieldSpec) -> FieldSpec:
        views = (side[object_].fields.get(field.name) for side in (more, seen) if object_ in side)
        found = next((view for view in views if view is not None), None)
        if found is None or found.type != field.type or not field.written:
            return field
        if field.type == "text" and found.length > field.length:
            return replace(field, length=min(found.length, LONGEST_TEXT))
        if field.precision and found.digits > field.digits:
            return replace(field, precision=min(MOST_DIGITS, found.digits + field.scale))
        return field

    objects = tuple(replace(spec, fields=tuple(kept(spec.name, field) for field in spec.fields)) for spec in wanted.objects)
    return replace(wanted, objects=objects)


def _states(spec: ObjectSpec, seen: Observed, more: Observed | None) -> Iterator[FieldState]:
    there = more.there if more is not None else seen.there
    # a page is shown without what its reader may not see: what an administrator lacks the set for is on the connection's own view of it
    layouts = [found.placed for found in (seen, more) if found is not None and found.placed is not None]
    placed = frozenset().union(*layouts) if layouts else None
    for field in spec.fields:
        found = seen.fields.get(field.name)
        hidden = (more.fields.get(field.name) if more is not None else None) if found is None else None
        on_page = None if placed is None else field.name in placed
        if found is None and hidden is None and not (there is not None and field.name in there):
            known = there is not None or more is not None
            yield FieldState(spec.name, field.name, field.key, "create", () if known else (NOT_SEEN,), field.formula)
        elif found is None:
            conflict, differs = _differences(field, hidden) if hidden is not None else ("", [])
            action: Action = "conflict" if conflict else "grant"
            said = (conflict,) if conflict else ("there, but hidden from the connection's user", *differs)
            refused = () if conflict else ((NO_RIGHT, said[0]),)
            yield FieldState(spec.name, field.name, field.key, action, said, field.formula, on_page, refused)
        else:
            yield _state(spec, field, found, on_page)


def _state(spec: ObjectSpec, field: FieldSpec, found: Seen, placed: bool | None) -> FieldState:
    conflict, differs = _differences(field, found)
    if conflict:
        return FieldState(spec.name, field.name, field.key, "conflict", (conflict,), field.formula, placed)
    locked = () if found.editable or not field.written else ("the connection's user may not edit it",)
    action: Action = "change" if differs else "grant" if locked else "ok"
    refused = (*((NO_RIGHT, why) for why in locked), *_refused(field, found))
    return FieldState(spec.name, field.name, field.key, action, (*differs, *locked), field.formula, placed, refused)


def _refused(field: FieldSpec, found: Seen) -> Iterator[tuple[str, str]]:
    """What of our values the field would not take as it is: the same that a push looks at before it sends (scorecard.fits)."""
    if not field.written:
        return
    if field.type == "text" and found.length < field.length:
        yield "SC-E130", f"holds {found.length} of {field.length} characters"
    if field.precision and found.digits < field.digits:
        yield "SC-E130", f"holds {found.digits} of {field.digits} digits before the point"
    lacking = [option.value for option in field.options if option.value not in found.options]
    if lacking and (found.restricted or found.closed):
        yield "SC-E123", f"does not offer {', '.join(lacking)}"


def _differences(field: FieldSpec, found: Seen) -> tuple[str, list[str]]:
    """(why it is another thing altogether, else ""; what a deployment would put right)."""
    if found.type != field.type:
        return f"is {_a(found.type)}, not {_a(field.type)}", []
    if found.calculated != (field.formula is not None):
        return ("is a formula" if found.calculated else "is no formula"), []
    differs = []
    if field.type == "text" and found.length < field.length:
        differs.append(f"length {found.length} → {field.length}")
    if field.precision and field.formula is None:
        if found.scale != field.scale:
            differs.append(f"decimal places {found.scale} → {field.scale}")
        if found.precision < field.precision:
            differs.append(f"digits {found.precision} → {field.precision}")
    if field.formula is not None and normal(found.formula) != normal(field.formula):
        differs.append(f"formula {_cut(found.formula or 'not told')} → {_cut(field.formula)}")
    if lacking := [option.value for option in field.options if option.value not in found.options]:
        differs.append(f"without the value{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}")
    if field.options and found.restricted:
        differs.append("restricted to its values, which record types may lack")
    if found.label and found.label != field.label:
        differs.append(f"label {found.label} → {field.label}")
    if found.help is not None and found.help != field.help:
        differs.append("help text")
    return "", [*differs, *found.differs]


def _a(word: str) -> str:
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"


def _cut(formula: str) -> str:
    text = " ".join(formula.split())
    return text if len(text) <= MOST_FORMULA_SHOWN else f"{text[:MOST_FORMULA_SHOWN]}…"


def _unused(wanted: Wanted, seen: Mapping[str, Observed], more: Mapping[str, Observed]) -> Iterator[str]:
    """Fields that bear the managed prefix and that nothing asks for. Those of objects that are ours need no prefix to be ours."""
    for spec in wanted.objects:
        found = {*seen[spec.name].fields}
        if spec.name in more:
            found |= {*more[spec.name].fields} | (more[spec.name].there or frozenset())
        for name in sorted(found):
            if name.lower().startswith(PREFIX) and name not in spec.by_name:
                yield f"{spec.name}.{name}"


def proof(wanted: Wanted, seen: Mapping[str, Observed], user: str) -> tuple[Finding, ...]:
    """SC-E153 for each field that the connection's user does not see, or may not edit though it writes it, or may edit though nobody should."""
    found = []
    for spec in wanted.objects:
        for field in spec.fields:
            held = seen[spec.name].fields.get(field.name) if spec.name in seen else None
            if held is None:
                said = f"{user} does not see {spec.name}.{field.name}"
            elif field.written and not held.editable:
                said = f"{user} may not edit {spec.name}.{field.name}"
            elif not field.written and held.editable:
                said = f"{spec.name}.{field.name} should be a formula, and can be edited"
            else:
                continue
            found.append(Finding("SC-E153", said, next=CODES["SC-E153"].next_step))
    return tuple(found)


def refusals(result: ProvisionResult) -> Sequence[Finding]:
    """What the CRM refuses, by name: its words, our sentence, the next step."""
    return [Finding("SC-E150", f'{r.kind} {r.name}: {r.reason} ("{r.problem}")'.lstrip(), next=r.next_step) for r in result.refusals]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of provision apply. ``admitted``: the permission set was given to the connection's user just now; ``proven``: findings of the
    proof as that user, empty: every field is visible and editable as it should be."""

    checked: ProvisionResult
    deployed: ProvisionResult | None = None
    admitted: bool = False
    proven: tuple[Finding, ...] = ()


def apply(wanted: Wanted, own: Provisioner, admin: Provisioner, *, check_only: bool = False) -> Applied:
    """Ask the CRM whether it would, then do it, whole or not at all; give the connection's user its rights, and prove them as that user."""
    checked = admin.provision(wanted, check_only=True)
    if check_only or not checked.ok:
        return Applied(checked)
    deployed = admin.provision(wanted, check_only=False)
    if not deployed.ok:
        return Applied(checked, deployed)
    user = own.whoami()
    admitted = admin.admit(user.user_id)
    return Applied(checked, deployed, admitted, proof(wanted, own.observe(wanted), user.user))

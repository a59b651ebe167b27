"""Faults that the org or the portal has itself, from the moment they are ordered until they are cleared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from connector.sandbox.errors import SandboxError
from connector.sandbox.faults.kinds import SALESFORCE
from connector.sandbox.faults.rules import Fault
from connector.sandbox.hubspot.limits import TIERS
from connector.sandbox.hubspot.portal import Portal
from connector.sandbox.hubspot.records import Record
from connector.sandbox.hubspot.schema import object_type
from connector.sandbox.hubspot.values import Problem
from connector.sandbox.salesforce.formulas import FormulaError
from connector.sandbox.salesforce.formulas.names import Scope
from connector.sandbox.salesforce.metadata.objects import breaking
from connector.sandbox.salesforce.org import Org, RowError

Undo = Callable[[], None]
_MANY = 10_500  # just above what a search shows at all
_RULE = "Close date must be in the future"


def switch_on(fault: Fault, org: Org, portal: Portal) -> Undo:
    """Let it begin; returns what ends it. Raises SandboxError where a parameter is missing or names nothing."""
    switch = (_SALESFORCE if fault.crm == SALESFORCE else _HUBSPOT)[fault.kind]
    return switch(fault, org if fault.crm == SALESFORCE else portal)


def _needed(fault: Fault, name: str) -> str:
    try:
        return fault.parameters[name]
    except KeyError:
        raise SandboxError(f"{fault.kind} needs the parameter {name}", f"--set {name}=…") from None


def _number(fault: Fault, name: str, default: int) -> int:
    text = fault.parameters.get(name, str(default))
    if not text.isdigit():
        raise SandboxError(f"{name} must be a whole number, got {text}")
    return int(text)


def _wait(fault: Fault) -> float:
    if fault.seconds is None or fault.seconds <= 0:
        raise SandboxError(f"{fault.kind} needs seconds", "--seconds N")
    return fault.seconds


def _ids(fault: Fault) -> set[str]:
    return {part.strip() for part in fault.parameters.get("ids", "").split(",") if part.strip()}


# -- Salesforce ----------------------------------------------------------------------------------------------------------


def _sf_rule(fault: Fault, org: Org) -> Undo:
    ids, about = _ids(fault), fault.object or "Opportunity"
    if "formula" in fault.parameters:
        return _sf_condition(fault, org, about)
    error = RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", fault.parameters.get("message", _RULE))

    def rule(name: str, row: Mapping[str, Any], values: Mapping[str, Any], user: str) -> RowError | None:
        return error if name == about and (not ids or row.get("Id") in ids) else None

    org.rules.append(rule)
    return lambda: org.rules.remove(rule)


def _sf_condition(fault: Fault, org: Org, about: str) -> Undo:
    """A rule like those that are deployed: the Tooling API lists it."""
    if about not in org.schema:
        raise SandboxError(f"the org has no object {about}")
    permissions = [row["DeveloperName"] for row in org.tables["CustomPermission"].rows.values()]
    message, name = fault.parameters.get("message", _RULE), f"{about}.Fault_{fault.number}"
    try:
        rule = breaking(org, Scope(org, org.schema, about, permissions, rule=True), fault.parameters["formula"], message)
    except FormulaError as problem:
        raise SandboxError(f"the formula will not do: {problem.message}") from None
    org.set_rule(name, rule, message, active=True)
    return lambda: org.drop_rule(name)


def _sf_flow(fault: Fault, org: Org) -> Undo:
    about, name = fault.object or "Opportunity", _needed(fault, "field")
    field = org.schema[about].fields.get(name) if about in org.schema else None
    if field is None or not field.updateable:
        raise SandboxError(f"the org has no field {about}.{name} that a flow could set")

    def flow(row: Mapping[str, Any], before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if fault.parameters.get("bypass") in org.grants(row.get("LastModifiedById", "")).custom:
            return None
        return {name: fault.parameters.get("value", org.clock.now.isoformat())}

    key = org.add_flow(f"Fault_{fault.number}", about, flow)
    return lambda: org.drop_flow(flow, key)


def _sf_locks(fault: Fault, org: Org) -> Undo:
    ids = set(_needed(fault, "ids").split(",")) - org.locked
    org.locked |= ids
    return lambda: org.locked.difference_update(ids)


def _sf_read_only(fault: Fault, org: Org) -> Undo:
    ids = set(_needed(fault, "ids").split(",")) - org.uneditable
    org.uneditable |= ids
    return lambda: org.uneditable.difference_update(ids)


def _sf_field(fault: Fault, org: Org) -> Undo:
    field, about = _needed(fault, "field"), fault.object or "Opportunity"
    if about not in org.schema or field not in org.schema[about].fields:
        raise SandboxError(f"the org has no field {about}.{field}")
    act = org.views.close if fault.kind == "read-only-field" else org.views.hide
    act(org.api_user, about, field)
    return lambda: org.views.show(org.api_user, about, field)


def _sf_daily(fault: Fault, org: Org) -> Undo:
    before, org.calls_used = org.calls_used, org.calls_max

    def undo() -> None:
        org.calls_used = before

    return undo


def _sf_late(fault: Fault, org: Org) -> Undo:
    seconds, plain = _wait(fault), org.update

    def late(name: str, record_id: str, values: Mapping[str, Any], *, by: str | None = None, at: datetime | None = None) -> None:
        if at is not None:  # a late save that is due, or a stamp of the caller's own
            plain(name, record_id, values, by=by, at=at)
            return
        begun = org.clock.now
        org.late_update(name, record_id, values, stamped=begun, visible=begun + timedelta(seconds=seconds), by=by)

    org.__dict__["update"] = late

    def undo() -> None:
        org.__dict__.pop("update", None)

    return undo


def _sf_rotate(fault: Fault, org: Org) -> Undo:
    before, org.sessions.rotate = org.sessions.rotate, True

    def undo() -> None:
        org.sessions.rotate = before

    return undo


def _sf_pages(fault: Fault, org: Org) -> Undo:
    before = org.page_size, org.bulk.page
    org.page_size = org.bulk.page = max(1, _number(fault, "size", 2))

    def undo() -> None:
        org.page_size, org.bulk.page = before

    return undo


def _sf_instant(fault: Fault, org: Org) -> Undo:
    """Records are made where there are too few, all of them touched at one instant."""
    about, most = fault.object or "Opportunity", _number(fault, "count", _MANY)
    if about not in org.schema:
        raise SandboxError(f"the org has no object {about}")
    table = org.tables[about]
    live = [key for key, row in table.rows.items() if not row.get("IsDeleted")]
    if not live:
        raise SandboxError(f"there is no {about} to be edited", "connector sandbox seed")
    model = {k: v for k, v in table.rows[live[0]].items() if k in org.schema[about].fields and org.schema[about].fields[k].createable}
    live += [org.insert(about, {**model, "Name": f"Imported {number}"}) for number in range(most - len(live))]
    for key in live[:most]:
        org.update(about, key, {})
    return lambda: None


# -- HubSpot -------------------------------------------------------------------------------------------------------------


def _kind(fault: Fault) -> str:
    found = object_type(fault.object or "deals")
    if found is None:
        raise SandboxError(f"the portal has no object {fault.object}")
    return found.name


def _hs_rule(fault: Fault, portal: Portal) -> Undo:
    ids, about, message = _ids(fault), _kind(fault), fault.parameters.get("message", _RULE)

    def rule(record: Record, wanted: Mapping[str, str]) -> Problem | None:
        if record.kind.name != about or (ids and str(record.number) not in ids):
            return None
        return Problem(next(iter(wanted), "hs_object_id"), "FAILED_VALIDATION_RULE", message)

    portal.rules.append(rule)
    return lambda: portal.rules.remove(rule)


def _hs_field(fault: Fault, portal: Portal) -> Undo:
    about, name = _kind(fault), _needed(fault, "field")
    before = portal.properties[about].get(name)
    if before is None:
        raise SandboxError(f"the portal has no property {name} of {about}")
    portal.change_property(about, name, read_only=True)

    def undo() -> None:
        if name in portal.properties[about]:
            portal.change_property(about, name, read_only=before.read_only)

    return undo


def _hs_scope(fault: Fault, portal: Portal) -> Undo:
    scopes = set(_needed(fault, "scope").split(",")) - portal.denied_scopes
    portal.denied_scopes |= scopes
    return lambda: portal.denied_scopes.difference_update(scopes)


def _hs_daily(fault: Fault, portal: Portal) -> Undo:
    limits, before = portal.limits, (portal.limits.used_today, portal.limits_on)
    limits.roll(portal.clock.now)
    limits.used_today, portal.limits_on = limits.daily, True

    def undo() -> None:
        limits.used_today, portal.limits_on = before

    return undo


def _hs_tier(fault: Fault, portal: Portal) -> Undo:
    limits, before = portal.limits, (portal.limits.burst, portal.limits.daily, portal.limits_on)
    tier = fault.parameters.get("tier", "professional")
    if tier not in TIERS:
        raise SandboxError(f"no tier is called {tier}", f"one of: {', '.join(TIERS)}")
    limits.tier(tier, _number(fault, "packs", 0))
    limits.burst, limits.daily = _number(fault, "burst", limits.burst), _number(fault, "daily", limits.daily)
    portal.limits_on = True

    def undo() -> None:
        limits.burst, limits.daily, portal.limits_on = before

    return undo


def _hs_lag(fault: Fault, portal: Portal) -> Undo:
    before, portal.index_lag = portal.index_lag, _wait(fault)

    def undo() -> None:
        portal.index_lag = before

    return undo


def _hs_rotate(fault: Fault, portal: Portal) -> Undo:
    before, portal.tokens.rotate = portal.tokens.rotate, True

    def undo() -> None:
        portal.tokens.rotate = before

    return undo


def _hs_pages(fault: Fault, portal: Portal) -> Undo:
    before, portal.page_shortfall = portal.page_shortfall, _number(fault, "size", 1)

    def undo() -> None:
        portal.page_shortfall = before

    return undo


def _hs_instant(fault: Fault, portal: Portal) -> Undo:
    about, most = _kind(fault), _number(fault, "count", _MANY)
    live = [portal.records[about][number] for number in portal.live[about]]
    if not live:
        raise SandboxError(f"there are no {about} to be edited", "connector sandbox seed")
    texts = (prop for prop in portal.properties[about].values() if prop.type == "string" and not (prop.read_only or prop.calculated))
    name = next(prop.name for prop in texts if prop.name in live[0].values)
    model = {key: value for key, value in live[0].values.items() if not key.startswith("hs_") and key in portal.properties[about]}
    live += portal.create_many(about, [model | {name: f"Imported {number}"} for number in range(most - len(live))])
    portal.bulk_edit(live[:most], {name: f"Edited {portal.now}"})
    return lambda: None


_SALESFORCE: Mapping[str, Callable[[Fault, Any], Undo]] = {
    "validation-rule": _sf_rule, "flow": _sf_flow, "row-locks": _sf_locks, "read-only-records": _sf_read_only, "read-only-field": _sf_field,
    "hidden-field": _sf_field, "daily-limit": _sf_daily, "late-commits": _sf_late, "rotating-tokens": _sf_rotate, "small-pages": _sf_pages,
    "same-instant": _sf_instant,
}  # fmt: skip
_HUBSPOT: Mapping[str, Callable[[Fault, Any], Undo]] = {
    "validation-rule": _hs_rule, "read-only-field": _hs_field, "denied-scope": _hs_scope, "daily-limit": _hs_daily, "rate-tier": _hs_tier,
    "index-lag": _hs_lag, "rotating-tokens": _hs_rotate, "small-pages": _hs_pages, "same-instant": _hs_instant,
}  # fmt: skip

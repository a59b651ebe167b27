"""A mapping against the live CRM: fields, values, stages, types, rights. Everything offline was found by ``load`` already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connector import privacy
from connector.crms.base import Field, Pipeline, StreamSpec
from connector.errors import Finding
from connector.mapping import names
from connector.mapping.schema import CrmMapping
from connector.mapping.source import Document
from connector.mapping.stages import OpenDeals, StageMap
from connector.mapping.uses import FieldUse, field_uses, is_denied
from connector.model.ladder import Ladder

Schema = Mapping[str, Mapping[str, Field]]
"""Object → field name → field, as the connection's user sees it."""

_SUITED: Mapping[names.Kind, frozenset[str]] = {
    "money": frozenset({"money", "number", "integer", "percent"}),
    "number": frozenset({"money", "number", "integer", "percent"}),
    "probability": frozenset({"percent", "number", "integer"}),
    "date": frozenset({"date", "datetime"}),
    "instant": frozenset({"datetime"}),
}
SCORECARDS: Mapping[str, Mapping[str, names.ScorecardKind]] = {
    "opportunity": names.WRITTEN, "account": names.ACCOUNT_SCORECARD, "contact": names.CONTACT_SCORECARD,
}  # fmt: skip
_SCORECARD_TYPES: Mapping[names.ScorecardKind, frozenset[str]] = {
    "text": frozenset({"text", "long_text", "picklist"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"datetime"}),
    "number": frozenset({"number", "integer", "percent", "money"}),
    "flag": frozenset({"boolean"}),
}
_TYPE_WORDS = {"long_text": "long text", "boolean": "true or false", "multipicklist": "a multiple choice", "picklist": "a choice"}


def objects(mapping: CrmMapping) -> tuple[str, ...]:
    """The objects whose live schema :func:`check_live` wants."""
    return tuple(dict.fromkeys(use.object for use in field_uses(mapping)))


def unasked(mapping: CrmMapping, specs: Iterable[StreamSpec], schema: Schema) -> list[Finding]:
    """SC-E021 for objects and fields that the connector reads by itself, whatever is mapped, and that the connection's user does not see."""
    named = {(use.object, use.field) for use in field_uses(mapping)}
    found: dict[Finding, None] = {}
    for spec in specs:
        fields = schema.get(spec.object)
        if fields is None:
            said = f"{spec.object} is not there, or hidden from the connection's user: {spec.name} cannot be read"
            found[Finding("SC-E021", said, next="grant read access to the object, or take what needs it out of the mapping")] = None
            continue
        for name in (*spec.fields, *spec.history):
            if "." not in name and name not in fields and (spec.object, name) not in named:
                said = f"{spec.object}.{name} is hidden from the connection's user: {spec.name} cannot be read without it"
                found[Finding("SC-E021", said, next="grant read access to the field")] = None
    return list(found)


def check_live(
    mapping: CrmMapping, ladder: Ladder, schema: Schema, pipelines: Iterable[Pipeline], open_deals: OpenDeals | None = None
) -> list[Finding]:  # fmt: skip
    """Every finding, errors and warnings, in the order of the file.

    SC-E021 unknown field or object, SC-E020 field of an unsuitable type, SC-E023 value or stage that the CRM does not offer, SC-E024 live
    stage or pipeline not mapped (``open_deals`` gives the numbers), SC-E026 contradiction (warning), SC-W034 calculated field without
    refresh, SC-E153 and SC-E154 scorecard fields, SC-E190 denied or sensitive, SC-W191 names that look like protected data.
    """
    document = mapping.source or Document(mapping.connection or mapping.crm, {})
    found: list[Finding] = []
    for use in field_uses(mapping):
        found += _use(document, mapping, use, schema)
    stage_map = StageMap(mapping, ladder)
    live = tuple(pipelines)
    found += [*stage_map.absent(live), *stage_map.contradictions(live), *stage_map.unmapped(live, open_deals)]
    return sorted(dict.fromkeys(found), key=lambda f: (f.line is None, f.line or 0, f.column or 0))


def _use(document: Document, mapping: CrmMapping, use: FieldUse, schema: Schema) -> Iterator[Finding]:
    fields = schema.get(use.object)
    if use.role in ("scorecard", "formula"):
        yield from _scorecard(document, use, fields or {})
        return
    if fields is None:
        near = names.nearest(use.object, schema)
        yield document.finding("SC-E021", f"no object {use.object}", use.path, key=use.at_key, shown=use.shown, near=near)
        return
    field = fields.get(use.field)
    if field is None:
        suggestion = names.nearest(use.field, fields)
        near = (f"{use.parent}.{suggestion[0]}", suggestion[1]) if suggestion and use.parent else suggestion
        message = f"no field {use.field} on {use.object}"
        yield document.finding("SC-E021", message, use.path, key=use.at_key, shown=use.shown, near=near)
        return
    yield from _privacy(document, mapping, use, field)
    yield from _type(document, use, field)
    yield from _values(document, mapping, use, field)
    if field.calculated and not use.presence and (use.source is None or use.source.refresh is None):
        message = f"{use.field} is calculated and moves without a stamp"
        path = use.path[:-1] if use.source is not None else use.path
        step = "set refresh: daily"
        yield document.finding("SC-W034", message, path, key=use.at_key, shown=use.shown, severity="warning", next=step)


def _privacy(document: Document, mapping: CrmMapping, use: FieldUse, field: Field) -> Iterator[Finding]:
    if use.presence:
        return
    if field.sensitive or is_denied(mapping, use.object, use.field):
        what = "holds sensitive data" if field.sensitive else "is never read"
        message = f"{use.field} of {use.object} {what}"
        yield document.finding("SC-E190", message, use.path, key=use.at_key, shown=use.shown, next="remove it from the mapping")
    elif (word := privacy.looks_protected(field.label) or privacy.looks_protected(field.name)) is not None:
        message = f'{use.field} ("{field.label}") looks like protected data ("{word}")'
        step = "remove it, if it is"
        yield document.finding("SC-W191", message, use.path, key=use.at_key, shown=use.shown, severity="warning", next=step)


def kind_of(canonical: str) -> names.Kind | None:
    """What a canonical field, gate part or field of a section holds; None for keys of the scorecard and rules."""
    if canonical in ("gate.opened_on", "gate.decided_on"):
        return "date"
    section, _, key = canonical.rpartition(".")
    return names.SECTION_FIELDS.get(section, {}).get(key) if section else names.OPPORTUNITY_FIELDS.get(canonical)


def _type(document: Document, use: FieldUse, field: Field) -> Iterator[Finding]:
    """Only what would fail record by record is an error: text where dates or numbers are wanted."""
    if use.canonical is None or use.presence or (use.source is not None and use.source.values is not None):
        return
    kind = kind_of(use.canonical)
    suited = _SUITED.get(kind) if kind else None
    if suited is None or field.type in suited:
        return
    word = _TYPE_WORDS.get(field.type, field.type)
    message = f"{use.field} is {word}; {use.canonical.rpartition('.')[2]} needs {' or '.join(sorted(suited))}"
    yield document.finding("SC-E020", message, use.path, next="map a field of that type")


def _values(document: Document, mapping: CrmMapping, use: FieldUse, field: Field) -> Iterator[Finding]:
    """Values that are translated, or that a rule waits for, must be among the field's options."""
    if field.type == "boolean":
        options = {"true", "false"}
    else:
        options = {option.value for option in field.options}
    if not options:
        return
    if use.values:
        wanted = [((*use.values_path, value), value, True) for value in use.values]
    else:
        wanted = [((*use.values_path, index), value, False) for index, value in enumerate(_listed(mapping, use))]
    known = {option.casefold() for option in options}
    for path, value, at_key in wanted:
        if value.casefold() not in known:
            near = names.nearest(value, options)
            message = f'"{value}" is not a value of {use.field}'
            yield document.finding("SC-E023", message, path, key=at_key, shown=use.values_path, near=near)


def _listed(mapping: CrmMapping, use: FieldUse) -> tuple[str, ...]:
    """The words of a rule's ``when``."""
    name = str(use.path[-1])
    if use.path[:3] == ("activities", "ignore", "when"):
        return mapping.activities.ignore.when.get(name, ())
    if use.path[:2] == ("activities", "rules") and isinstance(use.path[2], int):
        return mapping.activities.rules[use.path[2]].when.get(name, ())
    return ()


def _scorecard(document: Document, use: FieldUse, fields: Mapping[str, Field]) -> Iterator[Finding]:
    field = fields.get(use.field)
    if field is None:
        if use.role == "formula":
            message = f"no field {use.field} on {use.object}; it is not shown until it exists"
            yield document.finding("SC-E154", message, use.path, severity="warning", next="provision it, or set it to null")
            return
        near = names.nearest(use.field, (name for name in fields if name.casefold().startswith("kpi_")), least=80)
        step = "provision it, or set it to null"
        yield document.finding("SC-E154", f"no field {use.field} on {use.object}", use.path, near=near, next=step)
        return
    if use.role == "formula":
        return
    if not field.writable or field.calculated:
        why = "is calculated" if field.calculated else "may not be edited by this user"
        yield document.finding("SC-E153", f"{use.field} {why}", use.path, next="assign the permission set KPI_Scorecard_Integration")
    kind = SCORECARDS[str(use.path[1])].get(use.canonical or "")
    if kind is not None and field.type not in _SCORECARD_TYPES[kind]:
        word = _TYPE_WORDS.get(field.type, field.type)
        yield document.finding("SC-E154", f"{use.field} is {word}; {use.canonical} needs {kind}", use.path, next="provision it under another name")

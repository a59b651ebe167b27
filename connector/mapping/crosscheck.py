"""What a file may say, given the closed list of canonical names and the other files. Offline: no CRM is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from connector import privacy
from connector.errors import Finding
from connector.mapping import names
from connector.mapping.schema import Assignment, CrmMapping, Source
from connector.mapping.source import Document, Path_
from connector.mapping.uses import field_uses, is_denied
from connector.model.kpi_settings import KpiSettings, Predicate
from connector.model.ladder import Kind, Ladder
from connector.model.records import PERSONAS, STANCES

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_TYPES = {
    "money": ("money",), "number": ("number", "probability"), "date": ("date",), "datetime": ("instant", "date"),
    "text": ("text", "choice", "reference"), "boolean": ("boolean",),
}  # fmt: skip
NO_NUMBER = frozenset({"label", "list"})
"""Units of KPIs that no limit can be set to."""
_SCORECARD_NAME = {"salesforce": re.compile(r"KPI_[A-Za-z0-9_]*[A-Za-z0-9]__c"), "hubspot": re.compile(r"kpi_[a-z0-9_]+")}


def _unknown(
    document: Document, what: str, word: str, known: Iterable[str], path: Path_, *, key: bool = False, shown: Path_ | None = None
) -> Finding:
    return document.finding("SC-E022", f"unknown {what} {word}", path, key=key, shown=shown, near=names.nearest(word, known))


def _members(document: Document, what: str, words: Collection[str], known: Collection[str], path: Path_) -> Iterator[Finding]:
    for index, word in enumerate(words):
        if word not in known:
            yield _unknown(document, what, word, known, (*path, index))


# -- stages.yaml --------------------------------------------------------------------------------------------------------


def ladder(document: Document, value: Ladder) -> list[Finding]:
    """Keys are unique words, gates exist, probabilities are 0–1, required names exist, each terminal class has a rung."""
    return list(_ladder(document, value))


def _ladder(document: Document, value: Ladder) -> Iterator[Finding]:
    gates = [gate.key for gate in value.gates]
    rungs = [rung.key for rung in value.ladder]
    for section, keys in (("ladder", rungs), ("gates", gates)):
        for index, key in enumerate(keys):
            path: Path_ = (section, index, "key")
            if not _KEY.fullmatch(key):
                yield document.finding("SC-E020", f'"{key}" is not a key: lower-case letters, digits and _', path)
            elif key in keys[:index]:
                yield document.finding("SC-E020", f"{key} stands here twice", path, next="keep one of the two")
    for index, rung in enumerate(value.ladder):
        if rung.gate is not None and rung.gate not in gates:
            yield _unknown(document, "gate", rung.gate, gates, ("ladder", index, "gate"))
        if rung.probability is not None and not 0 <= rung.probability <= 1:
            yield document.finding("SC-E020", f"a probability is between 0 and 1, not {rung.probability:g}", ("ladder", index, "probability"))
    for kind in ("won", "lost"):
        if not any(rung.kind == kind for rung in value.ladder):
            yield document.finding("SC-E025", f"no rung of kind {kind}", ("ladder",), next=f"add a rung with kind: {kind}")
    for index, gate in enumerate(value.gates):
        yield from _members(document, "persona", gate.held_by, PERSONAS, ("gates", index, "held_by"))
    ranked = [rung.key for rung in value.ladder if rung.kind in ("sequential", "gate")]
    for segment, required in value.required.items():
        yield from _members(document, "canonical stage", required.stages, ranked, ("required", segment, "stages"))
        yield from _members(document, "gate", required.gates, gates, ("required", segment, "gates"))


# -- kpis.yaml ----------------------------------------------------------------------------------------------------------


def kpis(
    document: Document, value: KpiSettings, ladder: Ladder | None, kpi_names: Collection[str] | None, dimensions: Collection[str] = ()
) -> list[Finding]:
    """Calendar, names of stages, gates, personas, KPIs and inputs, fields of populations (``dimensions``: those that the mappings add)."""
    found = list(_calendar(document, value))
    for segment, personas in value.required_personas.items():
        found += _members(document, "persona", personas, PERSONAS, ("required_personas", segment))
    found += _members(document, "persona", value.gatekeeper_personas, PERSONAS, ("gatekeeper_personas",))
    for stage, wanted in value.required_fields.items():
        found += _members(document, "field", wanted, names.DATA_FIELDS, ("required_fields", stage))
    for population in names.POPULATIONS:
        found += _predicate(document, getattr(value.populations, population), ("populations", population), ladder, dimensions)
    if kpi_names is not None:
        found += _members(document, "KPI", value.kpis.add, kpi_names, ("kpis", "add"))
        found += _members(document, "KPI", value.kpis.remove, kpi_names, ("kpis", "remove"))
        for place, target in enumerate(value.targets):
            if target.kpi not in kpi_names:
                found.append(_unknown(document, "KPI", target.kpi, kpi_names, ("targets", place, "kpi")))
    for name, paths in value.inputs.items():
        if name not in names.INPUTS:
            found.append(_unknown(document, "input", name, names.INPUTS, ("inputs", name), key=True))
        for path in (paths,) if isinstance(paths, str) else paths:
            if path.startswith("/") or ".." in path.split("/"):
                found.append(document.finding("SC-E020", f"{path} is outside the mappings directory", ("inputs", name)))
    return found + (list(_kpi_keys(document, value, ladder)) if ladder else [])


def targets(document: Document, value: KpiSettings, units: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Variants that their KPI does not have, and values that are no numbers. ``units``: KPI → variant → unit, of the declared KPIs."""
    found = []
    for place, target in enumerate(value.targets):
        variants = units.get(target.kpi)
        if variants is None:  # its name is checked by :func:`kpis`
            continue
        path: Path_ = ("targets", place, "variant")
        if target.variant not in variants:
            named = [name for name in variants if name]
            said = f"unknown variant {target.variant} of {target.kpi}" if target.variant else f"{target.kpi} has a value only per variant"
            step = f"one of {', '.join(named)}" if named else f"{target.kpi} has no variants: leave it out"
            found.append(document.finding("SC-E022", said, path, near=names.nearest(target.variant, named), next=step))
        elif variants[target.variant] in NO_NUMBER:
            said = f"{target.kpi} is a {variants[target.variant]}, not a number: it has no target"
            found.append(document.finding("SC-E022", said, ("targets", place, "kpi"), next="take a KPI or a variant that is a number"))
    return found


def _predicate(document: Document, value: Predicate, path: Path_, ladder: Ladder | None, dimensions: Collection[str]) -> Iterator[Finding]:
    known = (*names.POPULATION_FIELDS, *dimensions)
    words: dict[str, Collection[str]] = {"deal_type": (*names.DEAL_TYPES, "unknown")}
    if ladder is not None:
        words |= {"stage": (*ladder.rungs, "unmapped"), "kind": get_args(Kind)}
    for part, fields in (("where", value.where), ("except", value.except_)):
        for field, values in fields.items():
            if field not in known:
                yield _unknown(document, "field", field, known, (*path, part, field), key=True)
            elif field in words:
                yield from _members(document, field.replace("_", " "), values, words[field], (*path, part, field))


def _calendar(document: Document, value: KpiSettings) -> Iterator[Finding]:
    zone = value.calendar.time_zone
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield document.finding("SC-E020", f"unknown time zone {zone}", ("calendar", "time_zone"), near=names.nearest(zone, available_timezones()))
    if not re.fullmatch(r"[A-Z]{3}", value.calendar.currency):
        yield document.finding("SC-E020", f'"{value.calendar.currency}" is not a currency code of three capitals', ("calendar", "currency"))


def _kpi_keys(document: Document, value: KpiSettings, ladder: Ladder) -> Iterator[Finding]:
    segments = (*ladder.required, *value.required_personas)
    thresholds = value.thresholds
    checks: tuple[tuple[str, Path_, Iterable[str], Collection[str]], ...] = (
        ("canonical stage", ("thresholds", "stage_limit_days"), thresholds.stage_limit_days, ("default", *ladder.rungs)),
        ("gate", ("thresholds", "gate_limit_days"), thresholds.gate_limit_days, ("default", *ladder.gate_by_key)),
        ("segment", ("thresholds", "stale_after_days"), thresholds.stale_after_days, ("default", *segments)),
        ("segment", ("thresholds", "aging_days"), thresholds.aging_days, ("default", *segments)),
        ("canonical stage", ("required_fields",), value.required_fields, tuple(ladder.rungs)),
    )
    for what, path, keys, known in checks:
        for key in keys:
            if key not in known:
                yield _unknown(document, what, key, known, (*path, key), key=True)
    if ladder.required:
        for segment in value.required_personas:
            if segment not in ladder.required:
                yield _unknown(document, "segment", segment, ladder.required, ("required_personas", segment), key=True)


# -- <crm>.yaml ---------------------------------------------------------------------------------------------------------


def crm(document: Document, mapping: CrmMapping, ladder: Ladder | None, kpis: KpiSettings | None) -> list[Finding]:
    """Everything a CRM file can get wrong that needs no CRM to see."""
    segments = (*ladder.required, *(kpis.required_personas if kpis else ())) if ladder else ()
    found = [*_objects(document, mapping), *_fields(document, mapping, segments), *_stages(document, mapping, ladder)]
    found += [*_gates(document, mapping, ladder), *_activities(document, mapping), *_personas(document, mapping)]
    return [*found, *_sections(document, mapping), *_scorecard(document, mapping), *_privacy(document, mapping)]


def _objects(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    deal = names.DEAL_OBJECT[mapping.crm]
    if mapping.opportunities.object != deal:
        yield document.finding(
            "SC-E021", f"deals of {mapping.crm} are {deal}, not {mapping.opportunities.object}", ("opportunities", "object"), near=(deal, 100)
        )
    known = names.ACTIVITY_OBJECTS[mapping.crm]
    places = [(("activities", "objects"), mapping.activities.objects)]
    places += [(("activities", "rules", index, "objects"), rule.objects) for index, rule in enumerate(mapping.activities.rules)]  # type: ignore[misc]
    for path, objects in places:
        for index, object in enumerate(objects):
            if object not in known:
                yield document.finding("SC-E021", f"no activity object {object}", (*path, index), near=names.nearest(object, known))


def _fields(document: Document, mapping: CrmMapping, segments: Collection[str]) -> Iterator[Finding]:
    fields = mapping.opportunities.fields
    base: Path_ = ("opportunities", "fields")
    known = (*names.OPPORTUNITY_FIELDS, *names.ALIASES)
    for key, source in fields.items():
        name = names.ALIASES.get(key, key)
        if key not in known:
            yield _unknown(document, "canonical field", key, known, (*base, key), key=True, shown=base)
            continue
        if name != key and name in fields:
            yield document.finding("SC-E020", f"{key} and {name} are one field", (*base, key), key=True, next="keep one of the two")
        yield from _origin(document, mapping, name, source, (*base, key))
        if source.type is not None and names.OPPORTUNITY_FIELDS[name] not in _TYPES[source.type]:
            yield document.finding("SC-E020", f"{name} holds {names.OPPORTUNITY_FIELDS[name]}, not {source.type}", (*base, key, "type"))
        if source.scale is not None and name != "probability":
            yield document.finding("SC-E020", f"only probability has a scale, {name} has none", (*base, key, "scale"), key=True)
        targets = {"deal_type": names.DEAL_TYPES, "segment": segments}.get(name, ())
        if targets:
            yield from _targets(document, {"deal_type": "deal type"}.get(name, name), source, targets, (*base, key))
    for name in names.REQUIRED_FIELDS:
        if mapping.field(name) is None:
            yield document.finding("SC-E025", f"{name} is missing", base, key=True, next=f"add {name}:")
    yield from _dimensions(document, mapping)


def _dimensions(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    """Names of dimensions are words of the company's own, and their fields lie on the deal itself."""
    taken = {*names.OPPORTUNITY_FIELDS, *names.ALIASES, *names.POPULATION_FIELDS, *names.DIMENSIONS}
    for key, source in mapping.opportunities.dimensions.items():
        path: Path_ = ("opportunities", "dimensions", key)
        if not _KEY.fullmatch(key):
            yield document.finding("SC-E020", f'"{key}" is not a key: lower-case letters, digits and _', path, key=True)
        elif key in taken:
            yield document.finding("SC-E020", f"{key} has a meaning already", path, key=True, next="choose another name")
        if source.parent is not None or source.association is not None:
            yield document.finding("SC-E020", "a dimension is a field of the deal itself", path, key=True)
        if source.presence or source.refresh is not None or source.type not in (None, "text", "boolean"):
            yield document.finding("SC-E020", "a dimension holds words: from, values and when_null, type text or boolean", path, key=True)
    for index, name in enumerate(mapping.opportunities.pilot_link):
        if mapping.field(name) is None:
            step = f"map {name} under opportunities.fields"
            yield document.finding("SC-E025", f"pilots are linked by {name}, which is not mapped", ("opportunities", "pilot_link", index), next=step)


def _origin(document: Document, mapping: CrmMapping, name: str, source: Source, path: Path_) -> Iterator[Finding]:
    account = names.ACCOUNT_OBJECT[mapping.crm]
    if source.association is not None:
        if name != "account" or mapping.crm != "hubspot" or source.association != "companies":
            yield document.finding("SC-E020", "only account comes from an association, and only of companies", (*path, "association"))
        return
    if source.parent is None:
        if name in names.ACCOUNT_ONLY:
            yield document.finding("SC-E020", f"{name} is kept on the account", (*path, "from"), near=(f"{account}.{source.from_}", 100))
    elif source.parent != account:
        yield document.finding(
            "SC-E020", f"only fields of {account} are read through the deal", (*path, "from"), near=(f"{account}.{source.field}", 100)
        )
    elif name not in names.ACCOUNT_FIELDS:
        yield document.finding("SC-E020", f"{name} is a field of the deal; of the account: {', '.join(names.ACCOUNT_FIELDS)}", (*path, "from"))


def _targets(document: Document, what: str, source: Source, known: Collection[str], path: Path_) -> Iterator[Finding]:
    for value, target in (source.values or {}).items():
        if target not in known:
            yield _unknown(document, what, target, known, (*path, "values", value), shown=(*path, "values"))
    if isinstance(source.when_null, str) and source.when_null not in known:
        yield _unknown(document, what, source.when_null, known, (*path, "when_null"))


def _stages(document: Document, mapping: CrmMapping, ladder: Ladder | None) -> Iterator[Finding]:
    used = set(mapping.pipeline_names.values())
    for native, target in mapping.pipeline_names.items():
        if target not in mapping.stages:
            near = names.nearest(target, mapping.stages)
            yield document.finding(
                "SC-E025", f"stages.{target} is missing", ("opportunities", "pipelines", native), near=near, next=f"add stages.{target}.live"
            )
    for pipeline, stages in mapping.stages.items():
        if pipeline not in used:
            yield document.finding("SC-E020", f"no pipeline is called {pipeline}", ("stages", pipeline), key=True, near=names.nearest(pipeline, used))
        for part, entries in (("live", stages.live), ("retired", stages.retired)):
            base: Path_ = ("stages", pipeline, part)
            for stage, key in entries.items():
                if ladder is not None and key not in ladder.rungs:
                    yield _unknown(document, "canonical stage", key, ladder.rungs, (*base, stage), shown=base)
                if stage in stages.ignored or (part == "retired" and stage in stages.live):
                    yield document.finding(
                        "SC-E020", f'"{stage}" stands here twice', (*base, stage), key=True, shown=base, next="keep one of the two"
                    )


def _gates(document: Document, mapping: CrmMapping, ladder: Ladder | None) -> Iterator[Finding]:
    for gate, source in mapping.gates.items():
        if ladder is not None and gate not in ladder.gate_by_key:
            yield _unknown(document, "gate", gate, ladder.gate_by_key, ("gates", gate), key=True, shown=("gates",))
        for part, value in source.sources.items():
            path: Path_ = ("gates", gate, part)
            if value.association is not None or value.parent is not None:
                yield document.finding("SC-E020", "a gate comes from fields of the deal", (*path, "from" if value.from_ else "association"))
            if part in ("required", "result"):
                if value.values is None:
                    yield document.finding("SC-E025", "values is missing", path, next="add values: which CRM value means what")
                known = names.REQUIREMENTS if part == "required" else names.GATE_RESULTS
                yield from _targets(document, "requirement" if part == "required" else "gate result", value, known, path)


def _activities(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    acts = mapping.activities
    for index, rule in enumerate(acts.rules):
        path: Path_ = ("activities", "rules", index)
        if rule.topic not in names.TOPICS:
            yield _unknown(document, "topic", rule.topic, names.TOPICS, (*path, "topic"))
        if not rule.when and not rule.subject_any:
            yield document.finding("SC-E025", "the rule has no condition", path, next="add when: or subject_any:")
    for key, sources, known in (("outcome", acts.outcomes, names.OUTCOMES), ("direction", acts.directions, names.DIRECTIONS)):
        listed = isinstance(getattr(acts, key), tuple)
        for index, source in enumerate(sources):
            path = ("activities", key, index) if listed else ("activities", key)
            if source.parent not in acts.objects:
                near = names.nearest(source.parent or "", acts.objects)
                yield document.finding("SC-E021", "name the activity object before the dot, and map it under objects", (*path, "from"), near=near)
            yield from _targets(document, key, source, known, path)
    whens = [(("activities", "ignore", "when"), acts.ignore.when)]
    whens += [(("activities", "rules", i, "when"), rule.when) for i, rule in enumerate(acts.rules)]  # type: ignore[misc]
    for base, when in whens:
        for name in when:
            if "." in name and name.rpartition(".")[0] not in acts.objects:
                near = names.nearest(name.rpartition(".")[0], acts.objects)
                yield document.finding("SC-E021", f"no activity object {name.rpartition('.')[0]}", (*base, name), key=True, near=near)


def _personas(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    people, contact = mapping.personas, names.CONTACT_OBJECT[mapping.crm]
    for field, persona in people.lookups.items():
        if persona not in PERSONAS:
            yield _unknown(document, "persona", persona, PERSONAS, ("personas", "lookups", field))
    for section, entries in (("roles", people.roles), ("labels", people.labels), ("buying_role", people.buying_role)):
        for name, assignment in entries.items():
            yield from _assignment(document, assignment, ("personas", section, name))
    for persona in people.titles:
        if persona not in PERSONAS:
            yield _unknown(document, "persona", persona, PERSONAS, ("personas", "titles", persona), key=True, shown=("personas", "titles"))
    for section, source in (("contact_field", people.contact_field), ("kol", people.kol)):
        if source is not None and source.parent not in (None, contact):
            yield document.finding("SC-E020", f"this comes from {contact}", ("personas", section, "from"), near=(f"{contact}.{source.field}", 100))
    if people.contact_field is not None:
        yield from _targets(document, "persona", people.contact_field, tuple(PERSONAS), ("personas", "contact_field"))
    for section, entries, crm in (
        ("roles", people.roles, "salesforce"),
        ("labels", people.labels, "hubspot"),
        ("buying_role", people.buying_role, "hubspot"),
    ):
        if entries and mapping.crm != crm:
            yield document.finding("SC-E020", f"{section} exist on {crm} only", ("personas", section), key=True)


def _assignment(document: Document, assignment: Assignment, path: Path_) -> Iterator[Finding]:
    if assignment.persona is not None and assignment.persona not in PERSONAS:
        yield _unknown(document, "persona", assignment.persona, PERSONAS, (*path, "persona"))
    if assignment.stance is not None and assignment.stance not in STANCES:
        yield _unknown(document, "stance", assignment.stance, STANCES, (*path, "stance"))
    if assignment.persona is None and assignment.stance is None:
        yield document.finding("SC-E025", "neither persona nor stance", path, next="add one, or remove the entry")


def _sections(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    """leads, tickets, line_items: their object, their fields, and where these may come from."""
    for name, section in mapping.sections.items():
        objects = names.SECTION_OBJECTS[name][mapping.crm]
        if not objects:
            yield document.finding("SC-E020", f"{name} of {mapping.crm} are not read", (name,), key=True, next="remove the section")
            continue
        if section.object not in objects:
            message = f"{name} of {mapping.crm} are {' or '.join(objects)}, not {section.object}"
            yield document.finding("SC-E021", message, (name, "object"), near=names.nearest(section.object, objects))
        known, base = names.SECTION_FIELDS[name], (name, "fields")
        for key, source in section.fields.items():
            path: Path_ = (*base, key)
            if key not in known:
                yield _unknown(document, f"field of {name}", key, known, path, key=True, shown=base)
                continue
            yield from _section_origin(document, mapping, name, key, source)
            if source.type is not None and known[key] not in _TYPES[source.type]:
                yield document.finding("SC-E020", f"{key} holds {known[key]}, not {source.type}", (*path, "type"))
            if source.presence:
                yield document.finding("SC-E020", f"{key} is more than a presence", (*path, "presence"), key=True)
            if key == "severity":
                yield from _targets(document, "severity", source, names.SEVERITIES, path)
                if source.values is None:
                    yield document.finding("SC-E025", "values is missing", path, next="add values: which CRM value means what")
        if not section.fields:
            yield document.finding("SC-E025", "no field is mapped", base, key=True, next=f"map one of {', '.join(known)}")


def _section_origin(document: Document, mapping: CrmMapping, name: str, key: str, source: Source) -> Iterator[Finding]:
    path: Path_ = (name, "fields", key)
    if source.association is not None:
        wanted = names.SECTION_LINKS.get((name, key)) if mapping.crm == "hubspot" else None
        if source.association != wanted:
            near = (wanted, 100) if wanted else None
            yield document.finding("SC-E020", f"{key} does not come from an association of {source.association}", (*path, "association"), near=near)
    elif source.parent is not None and not (name == "line_items" and source.parent in names.LINE_PARENTS):
        yield document.finding("SC-E020", f"{key} comes from a field of {mapping.sections[name].object}", (*path, "from"))


def _scorecard(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    pattern = _SCORECARD_NAME[mapping.crm]
    form = "KPI_…__c" if mapping.crm == "salesforce" else "kpi_…"
    sections = (("opportunity", mapping.scorecard.opportunity, (*names.WRITTEN, *names.COMPUTED)),
                ("account", mapping.scorecard.account, names.ACCOUNT_SCORECARD),
                ("contact", mapping.scorecard.contact, names.CONTACT_SCORECARD))  # fmt: skip
    for section, fields, known in sections:
        seen: dict[str, str] = {}
        for key, field in fields.items():
            path: Path_ = ("scorecard", section, key)
            if key not in known:
                yield _unknown(document, "scorecard field", key, known, path, key=True, shown=path[:-1])
            if field is None:
                continue
            if not pattern.fullmatch(field):
                yield document.finding("SC-E020", f"only fields called {form} are ever written, not {field}", path)
            elif field in seen:
                yield document.finding("SC-E020", f"{field} already holds {seen[field]}", path)
            seen[field] = key
    if mapping.scorecard.mode == "two_fields" and not mapping.written:
        said = "mode two_fields writes pace and stale_reason: both are switched off"
        yield document.finding("SC-E025", said, ("scorecard", "mode"))
    if mapping.scorecard.mode == "companion" and mapping.crm != "salesforce":
        yield document.finding("SC-E020", "mode companion is for Salesforce only", ("scorecard", "mode"))
    if mapping.crm != "salesforce":
        for section, where in (("rep", mapping.scorecard.rep), ("snapshot", mapping.scorecard.snapshot)):
            if where is not None and where.object is not None:
                yield document.finding("SC-E020", f"an object for {section} rows is for Salesforce only", ("scorecard", section, "object"))
    objects = [("rep", mapping.scorecard.rep), ("snapshot", mapping.scorecard.snapshot)]
    for section, named in objects:
        if named is not None and named.object is not None and not pattern.fullmatch(named.object):
            yield document.finding("SC-E020", f"only an object called {form} is ever ours, not {named.object}", ("scorecard", section, "object"))
    rep = mapping.scorecard.rep
    if rep is not None and (rep.object is None) == (rep.none is None):
        yield document.finding("SC-E020", "name either object or none", ("scorecard", "rep"))


def _privacy(document: Document, mapping: CrmMapping) -> Iterator[Finding]:
    seen: set[tuple[Path_, str]] = set()
    for use in field_uses(mapping):
        if use.presence or (use.path, use.field) in seen:
            continue
        seen.add((use.path, use.field))
        if is_denied(mapping, use.object, use.field):
            message = f"{use.field} of {use.object or 'activities'} is never read"
            yield document.finding("SC-E190", message, use.path, key=use.at_key, shown=use.shown, next="remove it from the mapping")
        elif (word := privacy.looks_protected(use.field)) is not None:
            message = f'{use.field} looks like protected data ("{word}")'
            yield document.finding("SC-W191", message, use.path, key=use.at_key, shown=use.shown, severity="warning", next="remove it, if it is")

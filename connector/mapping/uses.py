"""Every CRM field that a mapping names, with where it is named: what is selected, checked and denied comes from this one list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from connector import privacy
from connector.mapping import names
from connector.mapping.schema import CrmMapping, Source
from connector.mapping.source import Path_
from connector.model.scorecard_fields import COMPANION_OBJECT

Role = Literal["input", "scorecard", "formula"]
BUYING_ROLE = "hs_buying_role"
MAIL = "EmailMessage"
_HUBSPOT_PREFIX = {"hs_call_": "calls", "hs_email_": "emails", "hs_meeting_": "meetings", "hs_task_": "tasks"}


@dataclass(frozen=True, slots=True)
class FieldUse:
    """One field asked of one object. ``path``: where the name stands; ``at_key``: it is the key there, not the value.

    ``canonical``: the canonical field, gate part (``gate.opened_on``) or scorecard key it feeds; None for rules and people.
    """

    object: str
    field: str
    path: Path_
    at_key: bool = False
    canonical: str | None = None
    role: Role = "input"
    source: Source | None = None
    values_path: Path_ = ()
    values: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def presence(self) -> bool:
        return self.source is not None and self.source.presence

    @property
    def shown(self) -> Path_:
        return self.path[:-1] if self.at_key else self.path


def field_uses(mapping: CrmMapping) -> tuple[FieldUse, ...]:
    """All of them, in the order of the file."""
    return (
        *_keys(mapping),
        *_deal_fields(mapping),
        *_gates(mapping),
        *_activities(mapping),
        *_people(mapping),
        *_sections(mapping),
        *_scorecard(mapping),
    )


def allowed(mapping: CrmMapping, use: FieldUse) -> bool:
    """False for a denied field, unless only its presence is asked."""
    return use.presence or not is_denied(mapping, use.object, use.field)


def input_key(mapping: CrmMapping, kind: Literal["owners", "accounts", "contacts", "opportunities"]) -> str | None:
    """The field by which input files name records of a kind; None where no file does, or the field may not be read."""
    field = mapping.input_keys.get(kind)
    return None if field is None or is_denied(mapping, names.KEY_OBJECTS[mapping.crm][kind], field) else field


def is_denied(mapping: CrmMapping, object: str, field: str) -> bool:
    return privacy.denied(object, field, mapping.deny.fields, mapping.deny.names_like)


def activity_objects(mapping: CrmMapping, field: str, objects: tuple[str, ...]) -> tuple[str, ...]:
    """The activity objects on which a field of a rule lives: before its dot, else the rule's, else by HubSpot's prefix, else all mapped ones."""
    prefix, _, name = field.rpartition(".")
    if prefix:
        return (prefix,)
    if objects:
        return objects
    if mapping.crm == "hubspot":
        for start, object in _HUBSPOT_PREFIX.items():
            if name.startswith(start):
                return (object,)
    return tuple(o for o in mapping.activities.objects if o != MAIL)  # of a mail only what the connector asks itself


def _source_use(mapping: CrmMapping, object: str, source: Source, path: Path_, canonical: str | None) -> Iterator[FieldUse]:
    if source.from_ is None:
        return
    yield FieldUse(
        object=source.parent or object, field=source.field, path=(*path, "from"), canonical=canonical, source=source,
        values_path=(*path, "values"), values=tuple(source.values or ()), parent=source.parent,
    )  # fmt: skip


def _keys(mapping: CrmMapping) -> Iterator[FieldUse]:
    for kind, field in mapping.input_keys.items():
        yield FieldUse(names.KEY_OBJECTS[mapping.crm][kind], field, ("input_keys", kind))


def _deal_fields(mapping: CrmMapping) -> Iterator[FieldUse]:
    deal = mapping.opportunities.object
    for key, source in mapping.opportunities.fields.items():
        yield from _source_use(mapping, deal, source, ("opportunities", "fields", key), names.ALIASES.get(key, key))
    for key, source in mapping.opportunities.dimensions.items():
        yield from _source_use(mapping, deal, source, ("opportunities", "dimensions", key), None)


def _gates(mapping: CrmMapping) -> Iterator[FieldUse]:
    for gate, parts in mapping.gates.items():
        for part, source in parts.sources.items():
            yield from _source_use(mapping, mapping.opportunities.object, source, ("gates", gate, part), f"gate.{part}")


def _activities(mapping: CrmMapping) -> Iterator[FieldUse]:
    acts = mapping.activities
    for name in acts.ignore.when:
        yield from _when(mapping, ("activities", "ignore", "when"), name, (), acts.ignore.when[name])
    for key, sources in (("outcome", acts.outcomes), ("direction", acts.directions)):
        listed = isinstance(getattr(acts, key), tuple)
        for index, source in enumerate(sources):
            path: Path_ = ("activities", key, index) if listed else ("activities", key)
            yield from _source_use(mapping, "", source, path, f"activity.{key}")
    for index, rule in enumerate(acts.rules):
        for name, values in rule.when.items():
            yield from _when(mapping, ("activities", "rules", index, "when"), name, rule.objects, values)


def _when(mapping: CrmMapping, path: Path_, name: str, objects: tuple[str, ...], values: tuple[str, ...]) -> Iterator[FieldUse]:
    for object in activity_objects(mapping, name, objects):
        yield FieldUse(object, name.rpartition(".")[2], (*path, name), at_key=True, values_path=(*path, name), values=())


def _people(mapping: CrmMapping) -> Iterator[FieldUse]:
    people = mapping.personas
    contact = names.CONTACT_OBJECT[mapping.crm]
    for field in people.lookups:
        yield FieldUse(mapping.opportunities.object, field, ("personas", "lookups", field), at_key=True)
    if people.contact_field:
        yield from _source_use(mapping, contact, people.contact_field, ("personas", "contact_field"), None)
    if people.buying_role and mapping.crm == "hubspot":
        yield FieldUse(contact, BUYING_ROLE, ("personas", "buying_role"), at_key=True)
    if people.kol:
        yield from _source_use(mapping, contact, people.kol, ("personas", "kol"), "kol")


def _sections(mapping: CrmMapping) -> Iterator[FieldUse]:
    for name, section in mapping.sections.items():
        for key, source in section.fields.items():
            yield from _source_use(mapping, section.object, source, (name, "fields", key), f"{name}.{key}")


def _scorecard(mapping: CrmMapping) -> Iterator[FieldUse]:
    companion = mapping.scorecard.mode == "companion"
    written = mapping.written
    deal = {**mapping.scorecard.opportunity, **written}
    objects = (("opportunity", COMPANION_OBJECT if companion else mapping.opportunities.object, deal),
               ("account", names.ACCOUNT_OBJECT[mapping.crm], mapping.scorecard.account),
               ("contact", names.CONTACT_OBJECT[mapping.crm], mapping.scorecard.contact))  # fmt: skip
    for section, object, fields in objects:
        for key, field in fields.items():
            if field is not None:
                role: Role = "scorecard" if section != "opportunity" or key in written else "formula"
                # in the two-field mode one that is not named is there by the mode
                named = section != "opportunity" or key in mapping.scorecard.opportunity
                yield FieldUse(object, field, ("scorecard", section, key) if named else ("scorecard", section), canonical=key, role=role)

"""The org's set-up as its administrator changes it: fields, stages, who sees what, rules and flows. No record's stamp moves by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector.sandbox.salesforce.core import Core, Flow, Rule
from connector.sandbox.salesforce.ids import ALPHABET, new_id
from connector.sandbox.salesforce.rows import Table, wire
from connector.sandbox.salesforce.schema import MASTER_RECORD_TYPE, NUMBER_TYPES, Child, FieldDef, ObjectDef, Pick
from connector.sandbox.salesforce.stages import CATEGORY_LABELS
from connector.sandbox.salesforce.views import EVERYTHING, with_fields


class SetUp(Core):
    """An org with its set-up pages."""

    def add_object(self, definition: ObjectDef) -> None:
        """A new custom object, without records."""
        self.schema[definition.name] = definition
        self.tables[definition.name] = Table(definition)
        self.prefixes[definition.prefix] = definition.name
        self.insert("EntityDefinition", {"QualifiedApiName": definition.name, "Label": definition.label, "KeyPrefix": definition.prefix})
        self._changed(definition.name)

    def new_object(self, definition: ObjectDef) -> None:
        """A custom object that was deployed, or what it is called from now on."""
        old = self.schema.get(definition.name)
        if old is None:
            self.add_object(definition)
        else:
            self._redefine(replace(old, label=definition.label, plural=definition.plural))

    def next_prefix(self, taken: int = 0) -> str:
        """The first three characters of the ids of the next custom object but ``taken``."""
        number = sum(1 for name in self.schema if name.endswith("__c")) + taken
        return f"a{number // len(ALPHABET)}{ALPHABET[number % len(ALPHABET)]}"

    def put_field(self, name: str, field: FieldDef, *, child: Child | None = None) -> None:
        """A field that was deployed: a new one, or another form of one there is; who has access to that does not change.

        ``child``: of a lookup, how its parent reaches the records and what becomes of them when it is deleted.
        """
        old = self.schema[name].fields.get(field.name)
        if old is None:
            self.add_field(name, field)
        else:
            kept = replace(field, guarded=old.guarded)
            self._redefine(with_fields(self.schema[name], lambda f: kept if f.name == field.name else f))
        if child:
            self.tables[name].index(field.name)
            parent = self.schema[field.reference_to[0]]
            others = (each for each in parent.children if (each.object, each.field) != (name, field.name))
            self._redefine(replace(parent, children=(*others, child)))

    def put_record(self, key: tuple[str, str], kind: str = "", values: Mapping[str, Any] | None = None) -> str:
        """Keep a deployed component: as a record of ``kind`` where the API shows it as one, else only that it is there. Returns its id."""
        known = self.metadata.get(key)
        if known is None:
            known = self.insert(kind, values or {}) if kind else new_id("0Mt", len(self.metadata) + 1)
            self.metadata[key] = known
        elif kind:
            self.update(kind, known, values or {})
        return known

    def drop_record(self, key: tuple[str, str]) -> None:
        """An administrator deletes a component that was deployed. Raises KeyError where there is none."""
        known = self.metadata.pop(key)
        for name in (key[0], "LightningComponentResource") if key[0] in self.tables else ():
            gone = [each for each, row in self.tables[name].rows.items() if known in (each, row.get("LightningComponentBundleId"))]
            for each in gone:
                self.delete(name, each)

    def put_sources(self, bundle: str, sources: Mapping[str, str]) -> None:
        """The files of a Lightning component in place of those it has: path → text."""
        table = self.tables["LightningComponentResource"]
        for each in [key for key, row in table.rows.items() if row["LightningComponentBundleId"] == bundle]:
            self.delete("LightningComponentResource", each)
        for path, source in sources.items():
            self.insert("LightningComponentResource", {
                "LightningComponentBundleId": bundle, "FilePath": path, "Format": path.rpartition(".")[2], "Source": source,
            })  # fmt: skip

    def add_page(self, label: str, on: str, kind: str = "RecordPage") -> str:
        """An administrator makes a Lightning page of an object. What stands on it no layout says. Returns its id."""
        return self.insert("FlexiPage", {
            "DeveloperName": label.replace(" ", "_"), "MasterLabel": label, "EntityDefinitionId": self._entity(on), "Type": kind,
        })  # fmt: skip

    def place(self, fields: Sequence[str], heading: str = "KPI Scorecard", record_type: str | None = None) -> None:
        """An administrator drags fields of Opportunity onto the page of one record type, or of all."""
        for key in [record_type] if record_type else [*self.record_types.values(), MASTER_RECORD_TYPE]:
            self.layouts.setdefault(key, []).append((heading, tuple(fields)))

    def field_id(self, name: str, field: str) -> str:
        """The id under which the Tooling API knows a custom field."""
        return self.keys.setdefault(("field", f"{name}.{field}"), new_id("00N", sum(1 for kind, _ in self.keys if kind == "field") + 1))

    # -- fields ------------------------------------------------------------------------------------------------------

    def add_field(self, name: str, field: FieldDef, value: Any = None) -> None:
        """A new field. ``value`` is back-filled into the records there are; a checkbox is never null."""
        definition = self.schema[name]
        field = field if field.label else replace(field, label=field.name)
        fields = {**definition.fields, field.name: field}
        lowered = {**definition.lowered, field.name.lower(): field}
        parents = {**definition.relationships, **({field.relationship.lower(): field} if field.relationship else {})}
        self._redefine(replace(definition, fields=fields, lowered=lowered, relationships=parents))
        if field.unique or field.external_id:
            self.tables[name].index(field.name)
        filled = field.default if value is None else wire(field, value)
        if filled is not None:
            for row in self.tables[name].rows.values():
                row.setdefault(field.name, filled)

    def retype_field(self, name: str, field: str, kind: str, **changes: Any) -> None:
        """Change a field's type (and length, scale, options: ``changes``). Values that do not fit the new type are lost."""
        new = replace(self.schema[name].fields[field], type=kind, **changes)
        self._redefine(with_fields(self.schema[name], lambda f: new if f.name == field else f))
        for row in self.tables[name].rows.values():
            if field in row:
                value = _retyped(new, row.pop(field))
                if value is not None:
                    row[field] = value

    def hide_field(self, name: str, field: str, user: str | None = None) -> None:
        """Take a field out of a user's sight; without a user, out of everybody's: deleted, as far as the API shows."""
        if user is not None:
            self.views.hide(user, name, field)
            self._changed(name)
            return
        self._gone[name, field] = self.schema[name].fields[field]
        self._redefine(with_fields(self.schema[name], lambda f: None if f.name == field else f))

    def show_field(self, name: str, field: str, user: str | None = None) -> None:
        """Undo :meth:`hide_field`; the values are there again."""
        if user is not None:
            self.views.show(user, name, field)
            self._changed(name)
            return
        self.add_field(name, self._gone.pop((name, field)))

    def close_field(self, name: str, field: str, user: str) -> None:
        """A user may go on reading a field but not write it."""
        self.views.close(user, name, field)
        self._changed(name)

    def hide_object(self, name: str, user: str) -> None:
        """A user has no access to an object at all."""
        self.views.hide(user, name, EVERYTHING)
        self._changed(name)

    def show_object(self, name: str, user: str) -> None:
        self.views.show(user, name, EVERYTHING)
        self._changed(name)

    def track_field(self, field: str) -> None:
        """Keep field history of a field of Opportunity from now on."""
        if field not in self.schema["Opportunity"].fields:
            raise ValueError(f"Opportunity has no field {field}")
        self.tracked.add(field)
        self.add_option("OpportunityFieldHistory", "Field", field)

    # -- automation --------------------------------------------------------------------------------------------------

    def add_rule(self, name: str, on: str, rule: Rule, message: str = "") -> None:
        """An active validation rule that API writes meet and that the Tooling API lists."""
        self.rules.append(rule)
        self.insert("ValidationRule", {"ValidationName": name, "Active": True, "EntityDefinitionId": self._entity(on), "ErrorMessage": message})

    def set_rule(self, full_name: str, rule: Rule, message: str, *, active: bool) -> None:
        """A validation rule that was deployed, in place of the one of that name; ``full_name``: ``Object.Rule``."""
        about, _, name = full_name.partition(".")
        old = self._rules.pop(full_name, None)
        if old is not None:
            self.rules = [each for each in self.rules if each is not old]
        if active:
            self.rules.append(rule)
            self._rules[full_name] = rule
        values = {"ValidationName": name, "Active": active, "EntityDefinitionId": self._entity(about), "ErrorMessage": message}
        known = self.metadata.get(("ValidationRule", full_name))
        if known is None:
            self.metadata["ValidationRule", full_name] = self.insert("ValidationRule", values)
        else:
            self.update("ValidationRule", known, values)

    def drop_rule(self, full_name: str) -> None:
        """A rule that was set is deleted."""
        self.rules.remove(self._rules.pop(full_name))
        self.delete("ValidationRule", self.metadata.pop(("ValidationRule", full_name)))

    def drop_flow(self, flow: Flow, record_id: str) -> None:
        """A flow is deactivated and deleted."""
        self.flows = [(on, each) for on, each in self.flows if each is not flow]
        self.delete("FlowDefinitionView", record_id)

    def add_flow(self, name: str, on: str, flow: Flow) -> str:
        """An active record-triggered flow: runs after each save that changed something. Returns its id."""
        self.flows.append((on, flow))
        return self.insert("FlowDefinitionView", {
            "ApiName": name, "Label": name, "ProcessType": "AutoLaunchedFlow", "TriggerType": "RecordAfterSave", "RecordTriggerType": "Update",
            "TriggerObjectOrEventId": self._entity(on), "IsActive": True, "LastModifiedDate": self.clock.now,
        })  # fmt: skip

    def _entity(self, name: str) -> str:
        return next(key for key, row in self.tables["EntityDefinition"].rows.items() if row["QualifiedApiName"] == name)

    # -- options and stages ------------------------------------------------------------------------------------------

    def add_option(self, name: str, field: str, value: str) -> None:
        """Offer one more option of a picklist, if it is new."""
        found = self.schema[name].fields[field]
        if all(option.value != value for option in found.options):
            self._replace_options(name, field, (*found.options, Pick(value)))

    def rename_stage(self, old: str, new: str) -> None:
        """The list's value is called something else from now on. Records and history keep the text they hold; the old
        value stays in OpportunityStage, inactive."""
        stage = self.stages[old]
        self.renamed = {first: new if last == old else last for first, last in self.renamed.items()}
        self.renamed.setdefault(old, new)
        copy = {k: v for k, v in stage.items() if k not in ("Id", "CreatedDate", "SystemModstamp", "LastModifiedDate")}
        self.update("OpportunityStage", stage["Id"], {"ApiName": new, "MasterLabel": new})
        retired = self.insert("OpportunityStage", {**copy, "IsActive": False, "SortOrder": len(self.stages) + 1})
        self.stages = {new if name == old else name: row for name, row in self.stages.items()}
        self.stages[old] = self.tables["OpportunityStage"].rows[retired]
        for names in self.offered.values():
            names[:] = [new if name == old else name for name in names]
        self.stages_changed()

    def add_stage(self, name: str, probability: float, *, pipelines: Collection[str] = (), closed: bool = False, won: bool = False) -> None:
        """A new value of StageName, offered by the record types named (developer names). ``probability`` 0–100."""
        category = "Closed" if won else "Omitted" if closed else "Pipeline"
        made = self.insert("OpportunityStage", {
            "MasterLabel": name, "ApiName": name, "IsActive": True, "SortOrder": len(self.stages) + 1, "IsClosed": closed, "IsWon": won,
            "ForecastCategory": category, "ForecastCategoryName": CATEGORY_LABELS[category], "DefaultProbability": probability,
        })  # fmt: skip
        self.stages[name] = self.tables["OpportunityStage"].rows[made]
        for pipeline in pipelines:
            self.offered[self.record_types[pipeline]].append(name)
        self.stages_changed()

    def deactivate_stage(self, name: str) -> None:
        """No longer offered; records and history keep it."""
        self.update("OpportunityStage", self.stages[name]["Id"], {"IsActive": False})
        for names in self.offered.values():
            names[:] = [offered for offered in names if offered != name]
        self.stages_changed()

    def retype_stage(self, name: str, *, closed: bool, won: bool, probability: float) -> None:
        """What a stage means changes: deals show the new flags at once and no stamp of theirs moves."""
        category = "Closed" if won else "Omitted" if closed else "Pipeline"
        self.update("OpportunityStage", self.stages[name]["Id"], {
            "IsClosed": closed, "IsWon": won, "DefaultProbability": probability, "ForecastCategory": category,
            "ForecastCategoryName": CATEGORY_LABELS[category],
        })  # fmt: skip
        for row in self.tables["Opportunity"].rows.values():
            if row.get("StageName") == name:
                row["IsClosed"], row["IsWon"] = closed, won
        self.stages_changed()


def _retyped(field: FieldDef, value: Any) -> Any:
    if field.type in NUMBER_TYPES:
        try:
            return wire(field, float(value))
        except (TypeError, ValueError):
            return None
    if field.type == "boolean":
        return bool(value)
    return str(value) if field.type not in ("date", "datetime", "reference", "id") else None

"""The shape of mappings/<crm>.yaml as strict, frozen models, and the JSON Schemas that editors complete from.

A model says what a file may hold; names that depend on other files (stages, gates, fields of the CRM) are checked in
``crosscheck`` and ``check``. Source: the command-line page §3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, StringConstraints, Tag, WithJsonSchema, model_validator

from connector.mapping import names
from connector.mapping.source import Document
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder
from connector.model.records import PERSONAS, STANCES
from connector.model.scorecard_fields import ANCHORS, CALCULATED, TWO_FIELDS

Crm = Literal["salesforce", "hubspot"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.]*$")]
Words = tuple[Annotated[str, StringConstraints(min_length=1)], ...]


def _one_of(*choices: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(choices)})


CanonicalField = Annotated[str, _one_of(*names.OPPORTUNITY_FIELDS, *names.ALIASES)]
LeadField = Annotated[str, _one_of(*names.SECTION_FIELDS["leads"])]
TicketField = Annotated[str, _one_of(*names.SECTION_FIELDS["tickets"])]
LineField = Annotated[str, _one_of(*names.SECTION_FIELDS["line_items"])]
TopicName = Annotated[str, _one_of(*names.TOPICS)]
PersonaName = Annotated[str, _one_of(*PERSONAS)]
StanceName = Annotated[str, _one_of(*STANCES)]


class Strict(BaseModel):
    """Unknown keys are errors, nothing is converted, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False, serialize_by_alias=True)


class Source(Strict):
    """Where one value comes from. No expressions: taken, translated, typed or refreshed.

    ``presence``: only *is it filled* is asked. ``refresh``: a calculated field moves without a stamp and is read again daily.
    """

    from_: Identifier | None = Field(default=None, alias="from")
    association: Identifier | None = None
    label: str | None = None
    type: Literal["money", "number", "date", "datetime", "text", "boolean"] | None = None
    scale: Literal["percent", "fraction"] | None = None
    values: dict[str, str] | None = None
    when_null: str | float | bool | None = None
    presence: bool = False
    refresh: Literal["daily"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.from_ is None) == (self.association is None):
            raise ValueError("name exactly one of from and association")
        return self

    @property
    def parent(self) -> str | None:
        """The object before the dot of ``from``, if there is one."""
        return self.from_.rpartition(".")[0] or None if self.from_ else None

    @property
    def field(self) -> str:
        """The field itself, without its object; the association where there is no field."""
        return (self.from_ or self.association or "").rpartition(".")[2]


class Ignored(Strict):
    ignore: Annotated[str, StringConstraints(min_length=1)]


def _text_or_map(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<map>"


def _list_or_map(value: object) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<map>"


PipelineTarget = Annotated[Annotated[str, Tag("<text>")] | Annotated[Ignored, Tag("<map>")], Discriminator(_text_or_map)]
IgnoredStages = Annotated[Annotated[Words, Tag("<list>")] | Annotated[dict[str, str], Tag("<map>")], Discriminator(_list_or_map)]
Sources = Annotated[Annotated[tuple[Source, ...], Tag("<list>")] | Annotated[Source, Tag("<map>")], Discriminator(_list_or_map)]


class Opportunities(Strict):
    """``pipelines``: record type developer name or pipeline id → pipeline, or {ignore: reason}.

    ``dimensions``: fields of the deal by which KPIs can be divided, under names of the company's own. ``pilot_link``: a pilot kept as a deal
    of its own (deal_type ``pilot``) belongs to the new-business deal that has the same account, or account and product.
    """

    object: Identifier
    pipelines: dict[str, PipelineTarget]
    fields: dict[CanonicalField, Source]
    dimensions: dict[str, Source] = Field(default_factory=dict)
    pilot_link: tuple[Literal["account", "product"], ...] = ()


class StageSet(Strict):
    """Stages of one pipeline by identity. ``retired``: only history holds them. ``ignore``: a list, or stage → reason."""

    live: dict[str, str]
    retired: dict[str, str] = Field(default_factory=dict)
    ignore: IgnoredStages = ()

    @property
    def ignored(self) -> frozenset[str]:
        return frozenset(self.ignore)


class GateSource(Strict):
    required: Source | None = None
    opened_on: Source | None = None
    decided_on: Source | None = None
    result: Source | None = None
    dated_by: Literal["fields", "observation"] = "fields"

    @property
    def sources(self) -> Mapping[str, Source]:
        named = {"required": self.required, "opened_on": self.opened_on, "decided_on": self.decided_on, "result": self.result}
        return {key: source for key, source in named.items() if source is not None}


class Rule(Strict):
    """First match wins. All of ``objects``, ``when`` and ``subject_any`` that are given must hold."""

    topic: TopicName
    objects: tuple[Identifier, ...] = ()
    when: dict[Identifier, Words] = Field(default_factory=dict)
    subject_any: Words = ()


class ActivityIgnore(Strict):
    created_by: tuple[str, ...] = ()
    when: dict[Identifier, Words] = Field(default_factory=dict)


class Activities(Strict):
    objects: tuple[Identifier, ...] = ()
    ignore: ActivityIgnore = ActivityIgnore()
    outcome: Sources = ()
    direction: Sources = ()
    rules: tuple[Rule, ...] = ()

    @property
    def outcomes(self) -> tuple[Source, ...]:
        return self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)

    @property
    def directions(self) -> tuple[Source, ...]:
        return self.direction if isinstance(self.direction, tuple) else (self.direction,)


class Leads(Strict):
    """How far leads came. Salesforce: Lead; HubSpot: contacts by their lifecycle dates, or leads. Read only where this section stands."""

    object: Identifier
    fields: dict[LeadField, Source]


class Tickets(Strict):
    """Support tickets. Salesforce: Case; HubSpot: tickets. Read only where this section stands."""

    object: Identifier
    fields: dict[TicketField, Source]


class LineItems(Strict):
    """Products of a deal. Salesforce: OpportunityLineItem. Read only where this section stands."""

    object: Identifier
    fields: dict[LineField, Source]


Section = Leads | Tickets | LineItems


class Assignment(Strict):
    """What a role or label says of a person: function, stance, or both."""

    persona: PersonaName | None = None
    stance: StanceName | None = None


class Personas(Strict):
    """Tried in this order: lookups, roles or labels, contact_field, buying_role, titles."""

    lookups: dict[Identifier, PersonaName] = Field(default_factory=dict)
    roles: dict[str, Assignment] = Field(default_factory=dict)
    labels: dict[str, Assignment] = Field(default_factory=dict)
    contact_field: Source | None = None
    buying_role: dict[str, Assignment] = Field(default_factory=dict)
    titles: dict[PersonaName, Words] = Field(default_factory=dict)
    kol: Source | None = None


class Population(Strict):
    open: Literal[True] = True
    closed_days: Annotated[int, Field(ge=0)] = 0


class RepScorecard(Strict):
    """``object``: a custom object with one row per rep and period; ``none``: why there is no such thing."""

    object: Identifier | None = None
    none: str | None = None


class SnapshotScorecard(Strict):
    """``object``: a custom object with one row per KPI, subject, window and day."""

    object: Identifier


class Scorecard(Strict):
    """The only fields that can ever be written. null switches a field off.

    ``mode``: ``record``, every field that is named, on the deal; ``two_fields``, Pace and Stale reason alone, under their usual names
    unless named; ``companion``, the fields lie on
    an object of their own beside the deal, which is then never written.
    """

    mode: Literal["record", "two_fields", "companion"] = "record"
    population: Population = Population()
    opportunity: dict[Annotated[str, _one_of(*names.WRITTEN, *names.COMPUTED)], str | None] = Field(default_factory=dict)
    account: dict[Annotated[str, _one_of(*names.ACCOUNT_SCORECARD)], str | None] = Field(default_factory=dict)
    contact: dict[Annotated[str, _one_of(*names.CONTACT_SCORECARD)], str | None] = Field(default_factory=dict)
    rep: RepScorecard | None = None
    snapshot: SnapshotScorecard | None = None


class Deny(Strict):
    """On top of *only mapped fields are read*; wins over any mapping."""

    fields: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    names_like: Words = ()
    sensitive: Literal[True] = True


class CrmMapping(Strict):
    """The whole of mappings/<crm>.yaml. Without ``connection`` the file serves every connection of that CRM.

    ``input_keys``: the field by whose value input files may name records, beside their ids: {owners: Email, accounts: ERP_Id__c}.
    """

    version: Literal[1]
    crm: Crm
    connection: str | None = None
    input_keys: dict[Literal["owners", "accounts", "contacts", "opportunities"], Identifier] = Field(default_factory=dict)
    opportunities: Opportunities
    stages: dict[str, StageSet]
    gates: dict[str, GateSource] = Field(default_factory=dict)
    activities: Activities = Activities()
    personas: Personas = Personas()
    leads: Leads | None = None
    tickets: Tickets | None = None
    line_items: LineItems | None = None
    scorecard: Scorecard = Scorecard()
    deny: Deny = Deny()

    _source: Document | None = PrivateAttr(default=None)

    @property
    def source(self) -> Document | None:
        """The file this mapping was read from, with the position of every key and value; None if it was built in memory."""
        return self._source

    def placed(self, source: Document) -> CrmMapping:
        """The same mapping, remembering its file."""
        self._source = source
        return self

    @property
    def written(self) -> Mapping[str, str]:
        """Key → field of the deal's fields that are switched on and written by the connector; formulas are left out, and anchors for which
        the company has fields of its own. In companion mode they lie on the companion."""
        default = TWO_FIELDS[self.crm] if self.scorecard.mode == "two_fields" else {}
        among = default or names.WRITTEN
        not_ours = {*CALCULATED[self.crm], *(key for key in ANCHORS if (own := self.field(key)) is not None and own.from_ is not None)}
        named = {**default, **self.scorecard.opportunity}
        return {key: field for key, field in named.items() if field is not None and key in among and key not in not_ours}

    @property
    def several_currencies(self) -> bool:
        """Each record tells its own, as the deals' mapping knows."""
        told = self.field("currency")
        return self.crm == "salesforce" and told is not None and told.from_ == names.RECORD_CURRENCY

    def field(self, name: str) -> Source | None:
        """The source of a canonical field, under its own name or its alias."""
        fields = self.opportunities.fields
        return fields.get(name) or next((fields[a] for a, own in names.ALIASES.items() if own == name and a in fields), None)

    @property
    def sections(self) -> Mapping[str, Section]:
        """The sections that stand in the file: leads, tickets, line_items."""
        named = {"leads": self.leads, "tickets": self.tickets, "line_items": self.line_items}
        return {name: section for name, section in named.items() if section is not None}

    @property
    def pipeline_names(self) -> Mapping[str, str]:
        """Native pipeline → pipeline; ignored ones are left out."""
        return {native: target for native, target in self.opportunities.pipelines.items() if isinstance(target, str)}

    @property
    def ignored_pipelines(self) -> frozenset[str]:
        return frozenset(native for native, target in self.opportunities.pipelines.items() if not isinstance(target, str))


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (2020-12) of each kind of file: keys ``stages``, ``kpis``, ``crm``."""
    models: dict[str, type[BaseModel]] = {"stages": Ladder, "kpis": KpiSettings, "crm": CrmMapping}
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)} for name, model in models.items()
    }

"""What the portal's admin sets up: properties, pipelines, association labels, owners, currencies, rules. Changed by plain methods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from connector.sandbox.clock import VirtualClock
from connector.sandbox.hubspot import formulas, pipelines, schema
from connector.sandbox.hubspot.associations import Associations
from connector.sandbox.hubspot.formulas import Formula
from connector.sandbox.hubspot.pipelines import Pipeline, Stage
from connector.sandbox.hubspot.records import ADMIN, millis, stamp
from connector.sandbox.hubspot.schema import Property
from connector.sandbox.hubspot.validations import ConditionalRequired, ValidationRule, Validations

TIMERS = {"date_entered": "datetime", "date_exited": "datetime", "latest_time_in": "number", "cumulative_time_in": "number"}
"""What HubSpot measures for each stage, and the property type."""
GROUPS = {"kpi_scorecard": "KPI Scorecard"}


@lru_cache(maxsize=512)
def _timers(names: tuple[str, ...], where: str) -> dict[str, Property]:
    """The properties that measure a stage."""
    return {
        name: Property(name, f'{what.replace("_", " ").capitalize()} "{where}"', kind, "calculation_read_time", "deal_stages", read_only=True)
        for name, (what, kind) in zip(names, TIMERS.items(), strict=True)
    }


@dataclass
class Owner:
    """``id`` stands in ``hubspot_owner_id``, ``user_id`` in history: two different numbers. ``created``, ``updated``: ms."""

    number: int
    user_id: int
    first: str
    last: str
    email: str
    created: int
    updated: int
    archived: bool = False
    type: str = "PERSON"  # or QUEUE

    @property
    def id(self) -> str:
        return str(self.number)

    def wire(self) -> dict[str, object]:
        """As the owners API shows it; an archived one has lost ``userId``."""
        shown: dict[str, object] = {
            "id": self.id, "email": self.email, "type": self.type, "firstName": self.first, "lastName": self.last,
            "userId": None if self.archived else self.user_id, "userIdIncludingInactive": self.user_id,
            "createdAt": stamp(self.created), "updatedAt": stamp(self.updated), "archived": self.archived,
        }  # fmt: skip
        if not self.archived:
            shown["teams"] = [{"id": "7001", "name": "Sales", "primary": True}]
        return shown


PLANS = {"free": 0, "starter": 0, "professional": 25, "enterprise": 200}
"""Plan → calculated properties that a portal may have. The figures are the customary ones; the limits endpoint is what counts."""
CUSTOM_MAX = 1000


class Setup:
    """``pipelines`` are those of deals, ``pipelines_of`` has tickets and leads besides.

    ``plan`` and ``calculated_max`` (None: what the plan allows) bound calculated properties, ``custom_max`` the properties of one object type.
    ``in_workflows``: (object type, property) that a workflow uses, even one that is switched off: such a property cannot be archived.
    """

    portal_id = 24680135
    time_zone = "US/Eastern"
    currency = "USD"

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.properties: dict[str, dict[str, Property]] = schema.properties()
        self.archived_properties: dict[str, dict[str, Property]] = {name: {} for name in schema.TYPES}
        self.formulas: dict[str, dict[str, Formula]] = {name: {} for name in schema.TYPES}
        self.plan = "professional"
        self.calculated_max: int | None = None
        self.custom_max = CUSTOM_MAX
        self.in_workflows: set[tuple[str, str]] = set()
        self.groups: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in schema.TYPES}
        self.pipelines: list[Pipeline] = pipelines.seeded()
        self.pipelines_of: dict[str, list[Pipeline]] = {"deals": self.pipelines, **pipelines.of_service()}
        self.audits: list[dict[str, Any]] = []
        self.owners: dict[str, Owner] = {}
        self.associations = Associations()
        self.rates: dict[str, Decimal] = {"USD": Decimal(1), "EUR": Decimal("1.1")}
        self.rate_changes: list[tuple[str, Decimal, int]] = []
        self.validations = Validations()
        self._stages: dict[tuple[str, str], tuple[Pipeline, Stage]] = {}
        for kind, known in self.pipelines_of.items():
            for pipeline in known:
                for stage in pipeline.stages:
                    self._stages[kind, stage.id] = (pipeline, stage)
                    if not stage.deleted:
                        self._add_timers(pipeline, stage)

    @property
    def now(self) -> int:
        """The virtual instant in epoch milliseconds."""
        return millis(self.clock.now)

    # -- properties --------------------------------------------------------------------------------------------------

    def add_property(self, kind: str, prop: Property) -> None:
        """An admin adds a property, or changes one of that name. Raises FormulaError for a formula that will not do."""
        self.formulas[kind].pop(prop.name, None)
        if prop.formula is not None:
            self.formulas[kind][prop.name] = formulas.compiled(prop.formula, {n: p for n, p in self.properties[kind].items() if n != prop.name})
            prop = replace(prop, formula=formulas.rewritten(prop.formula))
        self.properties[kind][prop.name] = prop

    @property
    def calculated_allowed(self) -> int:
        """How many calculated properties the portal may have in all."""
        return PLANS[self.plan] if self.calculated_max is None else self.calculated_max

    def define_property(self, kind: str, name: str, type_: str, *, label: str | None = None, field_type: str | None = None,
                        options: tuple[str, ...] = (), **more: Any) -> Property:  # fmt: skip
        """An admin makes a property; ``more``: other fields of :class:`Property` (``sensitivity``, ``formula``, ``calculated`` …)."""
        now = stamp(self.now)
        prop = Property(name, label or name, type_, field_type or schema.FIELD_TYPES[type_], more.pop("group", "dealinformation"),
                        tuple((option, option) for option in options), native=False, created=now, updated=now, **more)  # fmt: skip
        self.add_property(kind, prop)
        return prop

    def change_property(self, kind: str, name: str, **changes: Any) -> None:
        """An admin changes a definition: label, options, read_only, sensitivity … Raises KeyError."""
        self.add_property(kind, replace(self.properties[kind][name], updated=stamp(self.now), **changes))

    def retype_property(self, kind: str, name: str, type_: str, field_type: str | None = None) -> None:
        """Another type under the same name; stored values stay as they are."""
        self.change_property(kind, name, type=type_, field_type=field_type or schema.FIELD_TYPES[type_])

    def hide_property(self, kind: str, name: str) -> None:
        """Hidden in the screens; the API still shows and reads it."""
        self.change_property(kind, name, hidden=True)

    def remove_property(self, kind: str, name: str) -> None:
        """Archived: gone from definitions, reads and writes, listed with ``archived=true``."""
        self.formulas[kind].pop(name, None)
        self.archived_properties[kind][name] = replace(self.properties[kind].pop(name), updated=stamp(self.now))

    def return_property(self, kind: str, name: str) -> None:
        """An archived property comes back, its values with it."""
        self.add_property(kind, self.archived_properties[kind].pop(name))

    def add_option(self, kind: str, name: str, value: str, label: str | None = None) -> None:
        """An admin adds an option to an enumeration; an option that is there stays as it is."""
        prop = self.properties[kind][name]
        if value not in (known for known, _ in prop.options):
            self.properties[kind][name] = replace(prop, options=(*prop.options, (value, label or value)))

    def add_rule(self, kind: str, name: str, rule_type: str, *arguments: str) -> None:
        """A validation rule on the values of a property, in force in every version."""
        self.validations.of_property.setdefault((kind, name), []).append(ValidationRule(rule_type, arguments))

    def require_when(self, kind: str, trigger: str, values: tuple[str, ...], required: tuple[str, ...]) -> None:
        """Properties that must be filled while another has one of some values; enforced on API writes by 2026-09."""
        self.validations.conditional.setdefault(kind, []).append(ConditionalRequired(trigger, values, required))

    def require_on_create(self, kind: str, *names: str) -> None:
        """The create form's required fields; enforced on API creates by 2026-09."""
        self.validations.create_form[kind] = names

    # -- pipelines ---------------------------------------------------------------------------------------------------

    def _add_timers(self, pipeline: Pipeline, stage: Stage) -> None:
        names = tuple(pipeline.timer(stage, what) for what in TIMERS)
        self.properties[pipeline.kind].update(_timers(names, f"{stage.label} ({pipeline.label})"))

    def stage(self, id_: str, kind: str = "deals") -> tuple[Pipeline, Stage] | None:
        """The stage of that id, deleted ones included, with its pipeline."""
        return self._stages.get((kind, id_))

    def _stage_of(self, id_: str, kind: str) -> tuple[Pipeline, Stage]:
        return self._stages[kind, id_]

    def neutral_stage(self, pipeline: str, stage: str) -> tuple[Pipeline, Stage]:
        """The stage that a neutral pipeline and stage key mean. Raises KeyError."""
        for known in self.pipelines:
            for candidate in known.stages:
                if (known.neutral, candidate.neutral) == (pipeline, stage):
                    return known, candidate
        raise KeyError(f"no stage {stage!r} in pipeline {pipeline!r}")

    def add_pipeline(self, id_: str, label: str, kind: str = "deals") -> Pipeline:
        """A new pipeline without stages."""
        now = stamp(self.now)
        pipeline = Pipeline(id_, label, id_, [], now, now, kind)
        self.pipelines_of[kind].append(pipeline)
        self._audit(pipeline, None, "CREATE", f"Pipeline {label} created")
        return pipeline

    def add_stage(self, pipeline_id: str, id_: str, label: str, probability: float = 0.5, *, closed: bool = False, kind: str = "deals") -> Stage:
        """A new stage at the end of a pipeline, with its timers. Raises StopIteration if there is no such pipeline."""
        pipeline = next(known for known in self.pipelines_of[kind] if known.id == pipeline_id)
        now = stamp(self.now)
        stage = Stage(id_, label, id_, probability, closed=closed, created=now, updated=now, state="CLOSED" if closed else "OPEN")
        pipeline.stages.append(stage)
        pipeline.updated = now
        self._stages[kind, id_] = (pipeline, stage)
        self._add_timers(pipeline, stage)
        self._audit(pipeline, stage, "CREATE", f"Stage {label} created")
        return stage

    def rename_stage(self, id_: str, label: str, kind: str = "deals") -> None:
        """An admin changes a label; the id stays."""
        pipeline, stage = self._stage_of(id_, kind)
        was, stage.label = stage.label, label
        stage.updated = pipeline.updated = stamp(self.now)
        self._audit(pipeline, stage, "UPDATE", f"Stage label changed from {was} to {label}")

    def rename_pipeline(self, id_: str, label: str, kind: str = "deals") -> None:
        """An admin changes a pipeline's label."""
        pipeline = next(known for known in self.pipelines_of[kind] if known.id == id_)
        pipeline.label, pipeline.updated = label, stamp(self.now)
        self._audit(pipeline, None, "UPDATE", f"Pipeline label changed to {label}")

    def delete_stage(self, id_: str, kind: str = "deals") -> None:
        """An admin deletes a stage: it goes from the pipeline and stays in history."""
        pipeline, stage = self._stage_of(id_, kind)
        for what in TIMERS:
            self.properties[kind].pop(pipeline.timer(stage, what), None)
        stage.deleted = True
        pipeline.updated = stamp(self.now)
        self._audit(pipeline, stage, "DELETE", f"Stage {stage.label} deleted")

    def _audit(self, pipeline: Pipeline, stage: Stage | None, action: str, message: str) -> None:
        raw = stage.wire(0, pipeline.kind) if stage else {"id": pipeline.id, "label": pipeline.label}
        self.audits.append({
            "portalId": self.portal_id, "identifier": stage.id if stage else pipeline.id, "action": action, "timestamp": stamp(self.now),
            "message": message, "fromUserId": ADMIN.user, "rawObject": raw, "kind": pipeline.kind, "pipeline": pipeline.id,
        })  # fmt: skip

    # -- owners and money --------------------------------------------------------------------------------------------

    def add_owner(self, first: str, last: str, email: str, *, active: bool = True, type_: str = "PERSON") -> Owner:
        n = len(self.owners) + 1
        owner = Owner(51_000_000 + n, 1_000_001 + n, first, last, email, self.now, self.now, archived=not active, type=type_)
        self.owners[owner.id] = owner
        return owner

    def archive_owner(self, id_: str) -> None:
        """The user leaves the portal; the records keep the owner's id."""
        owner = self.owners[id_]
        owner.archived, owner.updated = True, self.now

    def return_owner(self, id_: str) -> None:
        """The user comes back under the same id."""
        owner = self.owners[id_]
        owner.archived, owner.updated = False, self.now

    def add_label(self, one: str, two: str, name: str, category: str = "USER_DEFINED") -> None:
        """An admin defines an association label between two object types; ``category``: also INTEGRATOR_DEFINED, WORK (from 2026-09 on)."""
        self.associations.define(one, two, name, category)

    def rename_label(self, one: str, two: str, name: str, to: str) -> None:
        """Another name for a label; the type ids stay. Raises KeyError."""
        self.associations.rename(one, two, name, to)

    def advance_to(self, at: datetime) -> None:
        """Let time pass up to ``at``."""
        self.clock.advance_to(at)

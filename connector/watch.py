"""What a run looks at beside the records: has the CRM's schema moved, can each stream still be read, do histories end at the present?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from connector.connected import Connected, MappedConnection
from connector.crms.base import Field, Pipeline, StreamSpec
from connector.errors import ConnectorError, CrmConfigError, Finding, MissingScope, TooLarge
from connector.mapping import drift
from connector.reconcile import YOUNG
from connector.state import endings
from connector.state.store import Store

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """The live schema against the accepted one. ``differences``: each in a finding; ``broken``: streams that cannot be read as mapped, and why;
    ``told``: fields (``Opportunity.Amount``) whose loss breaks a stream; ``now``: object → snapshot, to be accepted;
    ``live``: object → its fields as they are."""

    differences: tuple[Finding, ...] = ()
    broken: Mapping[str, ConnectorError] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    now: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    live: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        """The differences, but for those that a broken stream tells with its consequence."""
        return [found for found in self.differences if found.path not in self.told]


def schema(connected: Connected, store: Store, specs: Sequence[StreamSpec]) -> Seen:
    """Describe every object that is read and compare it with what was accepted. Changes nothing; raises the errors of the CRM, but for
    those that concern one object: they break its streams."""
    name, mapping = connected.name, connected.mapped.mapping
    accepted = store.schemas.read(name)
    differences: list[Finding] = []
    broken: dict[str, ConnectorError] = {}
    told: set[str] = set()
    now: dict[str, Mapping[str, Any]] = {}
    described: dict[str, Mapping[str, Field]] = {}
    for asked in drift.asked(mapping, specs):
        streams = [spec for spec in specs if spec.object == asked.object]
        try:
            live = connected.crm.discover(asked.object)
        except (CrmConfigError, TooLarge) as error:
            broken |= dict.fromkeys([spec.name for spec in streams], error)
            continue
        except MissingScope as error:  # records may be read without it; if not, the stream says so itself
            differences.append(replace(error.finding(), message=f"{name}: the schema of {asked.object}: {error.message}", severity="warning"))
            continue
        described[asked.object] = live
        now[asked.object] = drift.of_object(asked, live)
        if asked.object in accepted:
            differences += drift.differences(name, asked, accepted[asked.object], now[asked.object])
        for spec in streams:
            lost = drift.unreadable(mapping, spec, live, accepted.get(asked.object))
            told |= {f"{spec.object}.{field}" for field in lost}
            if lost:
                broken[spec.name] = CrmConfigError("; ".join(f.message for f in lost.values()), findings=tuple(lost.values()))
    return Seen(tuple(differences), broken, frozenset(told), now, described)


def stages(mapped: MappedConnection, store: Store, pipelines: Sequence[Pipeline]) -> Seen:
    """The same of pipelines and stages."""
    now = drift.of_pipelines(pipelines, mapped.mapping.ignored_pipelines)
    accepted = store.schemas.read(mapped.name).get(drift.PIPELINES)
    differences = [] if accepted is None else drift.stage_differences(mapped.name, accepted, now)
    return Seen(tuple(differences), now={drift.PIPELINES: now})


def remember(connected: Connected, store: Store, looks: Sequence[Seen], at: datetime) -> None:
    """Accept what was never seen before: objects at their first look, fields mapped since. Differences stay differences."""
    accepted = store.schemas.read(connected.name)
    fresh: dict[str, Mapping[str, Any]] = {}
    for object, now in ((object, now) for seen in looks for object, now in seen.now.items()):
        held = accepted.get(object)
        grown = now if held is None or object == drift.PIPELINES else drift.grown(held, now)
        if held is None or (object != drift.PIPELINES and grown != held):
            fresh[object] = grown
    if fresh:
        store.schemas.accept(connected.name, fresh, at)


def histories(mapped: MappedConnection, store: Store, now: datetime) -> list[Finding]:
    """SC-W072: deals whose history does not end at their present value, by field, with ids. What moved within the last hour may rightly
    be read in parts; stages may be called by an older name of the same."""
    canonical = mapped.stages.canonical
    found: dict[str, list[str]] = {}
    for ending in endings.off(store.database, mapped.name, mapped.mapper.history_fields, settled_by=now - YOUNG):
        same = None
        if ending.field == "stage":
            same = canonical(ending.pipeline, ending.last)
        if same is None or same != canonical(ending.pipeline, ending.present):
            found.setdefault(ending.field, []).append(ending.opportunity)
    return [_not_ending(mapped.name, changed, ids) for changed, ids in found.items()]


def _not_ending(connection: str, changed: str, ids: Sequence[str]) -> Finding:
    more = f" and {len(ids) - EXAMPLES} more" if len(ids) > EXAMPLES else ""
    message = f"{connection}: the history of {changed} does not end at the present value of {', '.join(ids[:EXAMPLES])}{more}"
    return Finding("SC-W072", message, "warning", next=f"connector sync --full --connection {connection}")

"""What a run works on: the definitions of a project, and a connection as its mapping sees it, closed or opened.

Apart from ``sync`` so that a verb that only asks a CRM who we are need not load the KPI engine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from connector.clock import Calendar
from connector.crms.base import Crm
from connector.kpis.inputs import Inputs
from connector.mapping.apply import Mapper
from connector.mapping.schema import CrmMapping
from connector.mapping.stages import StageMap
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the admin's files say: ladder, KPI settings, inputs, and the version of all that."""

    ladder: Ladder
    kpis: KpiSettings
    inputs: Inputs
    version: str

    @property
    def calendar(self) -> Calendar:
        return Calendar(self.kpis.calendar.time_zone, self.kpis.calendar.fiscal_year_starts)


@dataclass(frozen=True, slots=True)
class MappedConnection:
    """One connection as its mapping sees it; enough to compute from the state, without the CRM."""

    name: str
    kind: str
    mapping: CrmMapping
    mapper: Mapper
    stages: StageMap

    @classmethod
    def of(cls, name: str, mapping: CrmMapping, definitions: Definitions, *, robots: Collection[str] = ()) -> MappedConnection:
        """``robots``: authors whose activities are none, beside those that the mapping lists."""
        mapper = Mapper(mapping, definitions.ladder, definitions.calendar, robots=robots)
        return cls(name, mapping.crm, mapping, mapper, mapper.stage_map)


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection, opened: its mapping, the CRM behind it, and what [connections] allows."""

    mapped: MappedConnection
    crm: Crm
    write_batch: int

    @property
    def name(self) -> str:
        return self.mapped.name

    @property
    def mapper(self) -> Mapper:
        return self.mapped.mapper

"""What a run works on: the definitions of a project, and a connection as its mapping sees it, closed or opened.

Apart from ``sync`` so that a verb that only asks a CRM who we are need not load the KPI engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from connector.clock import Calendar
from connector.crms.base import Crm, Meter
from connector.kpis.inputs.reading import Inputs
from connector.mapping.apply import Mapper
from connector.mapping.schema import CrmMapping
from connector.mapping.stages import StageMap
from connector.model.kpi_settings import KpiSettings
from connector.model.ladder import Ladder

if TYPE_CHECKING:
    from connector.state.calls import CallBook


BULK_BATCH = 10_000
"""Records of one bulk job: a job of the vendor's own batches is no larger, and a crash leaves no more than these to be asked for."""


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
    def of(cls, name: str, mapping: CrmMapping, definitions: Definitions) -> MappedConnection:
        mapper = Mapper(mapping, definitions.ladder, definitions.calendar)
        return cls(name, mapping.crm, mapping, mapper, mapper.stage_map)

    def with_robots(self, robots: Collection[str]) -> MappedConnection:
        """The same, with authors whose activities are none, beside those that the mapping lists."""
        return replace(self, mapper=self.mapper.with_robots(robots))


class Spending:
    """Lets the state and the meter of an open connection tell each other what was called: one budget per account."""

    def __init__(self, calls: CallBook, connection: str, meter: Meter, day_began: Callable[[], datetime]) -> None:
        self._calls = calls
        self._connection = connection
        self._meter = meter
        self._day_began = day_began
        self._noted = 0

    def note(self) -> None:
        """Add what was called since the last time, and learn what everybody else has. For after each page and batch: nothing new costs nothing."""
        if fresh := self._meter.calls - self._noted:
            self._calls.add(self._connection, fresh)
            self._noted += fresh
            self._meter.elsewhere = self._calls.used(self._connection, self._day_began()) - self._noted


@dataclass(frozen=True, slots=True)
class Connected:
    """One connection, opened: its mapping, the CRM behind it, and what [connections] allows.

    ``note``: tells the state what has been called so far, see :class:`Spending`. ``bulk_write_above``: records of a push above which they are
    written by the CRM's bulk way, in batches of ``BULK_BATCH``; None: never.
    """

    mapped: MappedConnection
    crm: Crm
    write_batch: int
    note: Callable[[], None] = lambda: None
    bulk_write_above: int | None = None

    def batch_of(self, records: int) -> int:
        """How many records a push of so many re-reads and writes at a time."""
        bulk = self.bulk_write_above is not None and records > self.bulk_write_above
        return BULK_BATCH if bulk else self.write_batch

    @property
    def name(self) -> str:
        return self.mapped.name

    @property
    def mapper(self) -> Mapper:
        return self.mapped.mapper

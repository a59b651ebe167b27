"""Which records count, and who answers for whom after deletes and merges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from connector.state.reading import Row


@dataclass(frozen=True, slots=True)
class Maps:
    """Today's mapping, as functions. ``stage_of``: (native pipeline, raw stage) → canonical stage, None unmapped;
    ``pipeline_of``: native → canonical pipeline; ``ignored``: is this native pipeline left out altogether?; ``day``: local date."""

    day: Callable[[datetime], date]
    stage_of: Callable[[str | None, str | None], str | None]
    pipeline_of: Callable[[str | None], str | None]
    ignored: Callable[[str | None], bool]


@dataclass(slots=True)
class Deals:
    """``rows``: the live deals; ``hidden``: deleted, or in an ignored pipeline; ``aliases``: merged deal → survivor."""

    rows: dict[str, Row] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_rows(cls, rows: Iterable[Row], ignored: Callable[[str | None], bool]) -> Deals:
        known = list(rows)
        deals = cls(aliases=aliases(known))
        for row in known:
            if row["id"] in deals.aliases:
                continue
            if row["deleted"] or ignored(row["native_pipeline"]):
                deals.hidden.add(row["id"])
            else:
                deals.rows[row["id"]] = row
        return deals

    def of(self, id: str | None) -> str | None:
        """The deal that a child counts for; the id itself where the state does not know it; None where it is hidden."""
        if id is None:
            return None
        survivor = self.aliases.get(id, id)
        return None if survivor in self.hidden else survivor


def alive(row: Row) -> bool:
    return not row["deleted"] and row["merged_into"] is None


def aliases(rows: Iterable[Row]) -> dict[str, str]:
    """Merged id → the id at the end of its chain. A ring, which no CRM should make, ends where it closes."""
    into = {row["id"]: row["merged_into"] for row in rows if row["merged_into"] is not None}
    return {id: _survivor(id, into) for id in into}


def _survivor(id: str, into: Mapping[str, str]) -> str:
    seen = {id}
    while id in into and into[id] not in seen:
        id = into[id]
        seen.add(id)
    return id

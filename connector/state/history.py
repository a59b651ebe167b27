"""The changes of live deals as the history sections of a book, each stage mapped with the pipeline of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from operator import itemgetter

from connector.state.observations import outcome
from connector.state.reading import Row
from connector.state.survivors import Deals, Maps

ORDER = ("opportunity", "at", "id")
INSTANT = itemgetter("at")


class Moves:
    """Changes by field and deal. A merged deal's own history went with it; the survivor's is the CRM's to tell."""

    def __init__(self, rows: Iterable[Row], deals: Deals, maps: Maps) -> None:
        """``rows`` of the table ``changes``, in the order of :data:`ORDER`."""
        self._deals = deals
        self._maps = maps
        self._by_field: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            if row["opportunity"] in deals.rows:
                self._by_field.setdefault(row["field"], {}).setdefault(row["opportunity"], []).append(row)

    def has_stages(self, opportunity: str) -> bool:
        return opportunity in self._by_field.get("stage", {})

    def stages(self) -> list[Row]:
        """{opportunity, raw_stage, stage, entered_at, id, quality}; equal neighbours are one."""
        return [row for id, rows in self._by_field.get("stage", {}).items() for row in self._stages_of(id, rows)]

    def _stages_of(self, opportunity: str, rows: list[Row]) -> Iterator[Row]:
        last: tuple[str | None, str | None] | None = None
        for pipeline, raw, change in self._timeline(opportunity, rows):
            stage = self._maps.stage_of(pipeline, raw)
            if last != (raw, stage):
                last = (raw, stage)
                yield {
                    "opportunity": opportunity, "raw_stage": raw, "stage": stage, "entered_at": change["at"], "id": change["id"],
                    "quality": "system",
                }  # fmt: skip

    def _timeline(self, opportunity: str, rows: list[Row]) -> Iterator[tuple[str | None, str | None, Row]]:
        """(pipeline, raw stage, the change that made it so). A switch of pipeline alone is a step too: the same stage may mean
        something else in the new one. Of a switch and a move at one instant only the move is a step."""
        switches = self._by_field.get("pipeline", {}).get(opportunity, [])
        pipeline: str | None = switches[0]["value"] if switches else self._deals.rows[opportunity]["native_pipeline"]
        if not switches or switches[-1]["at"] <= rows[0]["at"]:
            pipeline = switches[-1]["value"] if switches else pipeline
            yield from ((pipeline, row["value"], row) for row in rows)
            return
        raw: str | None = None
        begun = False
        for _, changes in groupby(sorted((*rows, *switches), key=itemgetter("at", "id")), key=INSTANT):
            together = list(changes)
            switched = [change for change in together if change["field"] == "pipeline"]
            moved = [change for change in together if change["field"] == "stage"]
            pipeline = switched[-1]["value"] if switched else pipeline
            if begun and not moved:
                yield pipeline, raw, switched[-1]
            for change in moved:
                begun, raw = True, change["value"]
                yield pipeline, raw, change

    def closes_on(self) -> list[Row]:
        """{opportunity, at, by, old, new}: moves of the close date; its first value is none."""
        found: list[Row] = []
        for opportunity, before, change in self._steps("closes_on"):
            if before is not None and (old := day(before["value"])) != (new := day(change["value"])):
                found.append({"opportunity": opportunity, "at": change["at"], "by": change["by"], "old": old, "new": new})
        return found

    def owners(self) -> list[Row]:
        """{opportunity, at, owner}, from the first owner on."""
        steps = self._steps("owner")
        return [{"opportunity": id, "at": now["at"], "owner": now["value"]} for id, old, now in steps if old is None or old["value"] != now["value"]]

    def amounts(self) -> list[Row]:
        """{opportunity, at, amount}, from the first amount on, in the deal's currency."""
        found: list[Row] = []
        for opportunity, before, change in self._steps("amount"):
            amount = _money(change["value"])
            if before is None or _money(before["value"]) != amount:
                found.append({"opportunity": opportunity, "at": change["at"], "amount": amount})
        return found

    def decided(self, opportunity: str, gate: str, result: str, *, ended_by: datetime | None = None) -> datetime | None:
        """When a gate came to its present result, or to one that was over by an instant, as the CRM's history of its field tells it;
        None where it keeps none, or ends elsewhere."""
        reached: list[tuple[str | None, datetime]] = []
        for row in self._by_field.get(f"{gate}.result", {}).get(opportunity, ()):
            now = outcome(None, row["value"])
            if not reached or reached[-1][0] != now:
                reached.append((now, row["at"]))
        if ended_by is None:
            return reached[-1][1] if reached and reached[-1][0] == result else None
        return next((at for told, at in reversed(reached) if told == result and at <= ended_by), None)

    def _steps(self, name: str) -> Iterator[tuple[str, Row | None, Row]]:
        for opportunity, rows in self._by_field.get(name, {}).items():
            before = None
            for row in rows:
                yield opportunity, before, row
                before = row


def day(text: str | None) -> date | None:
    """The date that a stored text begins with; None for none."""
    return date.fromisoformat(text[:10]) if text else None


def _money(text: str | None) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None

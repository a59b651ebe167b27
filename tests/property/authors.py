"""Every version of every field of the deals of a sandbox, with its author: read where the sandbox saves, and held against its own history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.sandbox.hubspot.records import CALCULATED, CONNECTOR, Record, Source
from connector.sandbox.hubspot.values import same
from tests.pitfalls.catalogue import SF

STAMPS = frozenset({"SystemModstamp", "LastModifiedDate", "LastModifiedById", "hs_lastmodifieddate"})
Author = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Saved:
    """One field of one save. ``asked``: the save named the field; ``ours``: by the connection's user; ``before`` and ``after``: None where
    the field is empty; ``again``: it held that value already."""

    record: str
    field: str
    before: Any
    after: Any
    ours: bool
    asked: bool
    again: bool


class Authors:
    """``saved``: all saves of deals since the world began, in order."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.saved: list[Saved] = []
        if rig.crm == SF:
            self._watch_the_org(rig.org)
        else:
            self._watch_the_portal(rig.portal)

    def _watch_the_org(self, org: Any) -> None:
        plain = org.update

        def update(name: str, record_id: str, values: Mapping[str, Any], *, by: str | None = None, at: Any = None) -> None:
            if name != "Opportunity":
                plain(name, record_id, values, by=by, at=at)
                return
            before = dict(org.tables[name].rows[record_id])
            plain(name, record_id, values, by=by, at=at)
            self._note(record_id, before, org.tables[name].rows[record_id], values, by == org.api_user, lambda a, b, _: a == b)

        org.update = update

    def _watch_the_portal(self, portal: Any) -> None:
        plain = portal.update

        def update(record: Record, wanted: Mapping[str, str], source: Source = portal.update.__defaults__[0]) -> frozenset[str]:
            if record.kind.name != "deals":
                return frozenset(plain(record, wanted, source))
            before, props = dict(record.values), portal.properties["deals"]
            changed: frozenset[str] = plain(record, wanted, source)
            self._note(record.id, before, record.values, wanted, source == CONNECTOR, lambda a, b, name: same(props.get(name), a, b or ""))
            return changed

        portal.update = update

    def _note(
        self, record: str, before: Mapping[str, Any], after: Mapping[str, Any], asked: Mapping[str, Any], ours: bool, like: Callable[..., bool]
    ) -> None:  # fmt: skip
        for name in dict.fromkeys([*asked, *before, *after]):
            was, now = before.get(name), after.get(name)
            again = name in asked and like(was, now, name)
            if (name in asked or was != now) and name not in STAMPS:
                self.saved.append(Saved(record, name, _plain(was), _plain(now), ours, name in asked, again))

    def by(self, record: str, field: str) -> Saved | None:
        """The save that put the present value there; None where nobody has changed it since the world began."""
        return next((one for one in reversed(self.saved) if (one.record, one.field) == (record, field) and not one.again), None)

    def now(self, record: str, field: str) -> Any:
        """What a live deal holds; None where it is empty."""
        if self.rig.crm == SF:
            return self.rig.org.tables["Opportunity"].rows[record].get(field)
        return _plain(self.rig.portal.records["deals"][int(record)].values.get(field))

    def disagreements(self, fields: Mapping[str, Any]) -> Iterator[str]:
        """Where the sandbox's own history of the scorecard, or what it holds now, is not what was noted."""
        for record in self.rig.deals:
            for field in fields:
                noted = [one for one in self.saved if (one.record, one.field) == (record, field) and not one.again]
                if noted and noted[-1].after != self.now(record, field):
                    yield f"{record} {field} holds {self.now(record, field)}, noted was {noted[-1].after}"
                if self.rig.crm != SF:
                    versions = self.rig.portal.records["deals"][int(record)].history.get(field, [])
                    told = [(_plain(version.value), version.source == CONNECTOR) for version in versions if version.source != CALCULATED]
                    if told != [(one.after, one.ours) for one in noted]:
                        yield f"{record} {field} has the history {told}"


def _plain(value: Any) -> Any:
    """HubSpot keeps a cleared value as an empty text."""
    return None if value == "" else value

"""How far a stream has been read, as text that the state can store. Instants are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from connector.crms.base import Bookmark

Pass = Literal["load", "fresh", "settled", "archived", "open", "done"]
KEPT = 2_000  # archived ids remembered, to notice a restored one
NUMBERS = ("stamp", "settled", "archived", "checked", "swept", "at", "drained", "end", "started")
RECENT = 1_000  # changes remembered; those beyond are read once more


@dataclass(frozen=True, slots=True)
class Mark:
    """``stamp``: everything changed before it was seen by the fresh pass. ``settled``: everything before it was searched
    again when the index had settled. ``archived``: last sweep of archived records; ``gone``: ids it found, newest last.
    ``checked``: last re-read of open deals, ``swept``: of all deals. ``recent``: id → stamp of the changes that the next run's overlap
    will show again.

    Inside a run: ``phase`` is the pass that goes on, from the instant ``at`` (its ids up to ``drained`` are done) to
    ``end``, or from the list cursor ``after``. ``started``: when the run began, which bounds what it may claim.
    """

    stamp: int = 0
    settled: int = 0
    archived: int = 0
    checked: int = 0
    swept: int = 0
    gone: tuple[str, ...] = ()
    recent: Mapping[str, int] = field(default_factory=dict)
    phase: Pass = "load"
    at: int = 0
    drained: int = 0
    end: int = 0
    after: str = ""
    started: int = 0

    def text(self) -> Bookmark:
        """Only what is set: a finished stream's bookmark holds no position."""
        numbers = {name: getattr(self, name) for name in NUMBERS}
        told = {name: str(value) for name, value in numbers.items() if value}
        if self.after:
            told["after"] = self.after
        if self.gone:
            told["gone"] = " ".join(self.gone[-KEPT:])
        if self.recent:
            told["recent"] = " ".join(f"{id_}:{stamp}" for id_, stamp in self.recent.items())
        return {"phase": self.phase, **told}

    def finished(self, overlap: int) -> Mark:
        """The mark to begin the next run with; of the changes seen it keeps those that the next run will see again."""
        begin = max(self.stamp - overlap, self.settled)
        again = sorted(((stamp, id_) for id_, stamp in self.recent.items() if stamp >= begin), reverse=True)[:RECENT]
        recent = {id_: stamp for stamp, id_ in again}
        return replace(self, phase="done", at=0, drained=0, end=0, after="", started=0, recent=recent)


def read_mark(bookmark: Mapping[str, str] | None) -> Mark:
    """The mark of a bookmark; None, or one whose phase is unknown, begins a full load."""
    if not bookmark or bookmark.get("phase") not in get_args(Pass):
        return Mark()
    numbers = {name: int(bookmark.get(name, "0")) for name in NUMBERS}
    phase: Pass = bookmark["phase"]  # type: ignore[assignment]
    recent = dict(pair.split(":") for pair in bookmark.get("recent", "").split())
    return Mark(
        **numbers,
        phase=phase,
        after=bookmark.get("after", ""),
        gone=tuple(bookmark.get("gone", "").split()),
        recent={id_: int(stamp) for id_, stamp in recent.items()},
    )

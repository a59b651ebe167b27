"""A missed target as it is kept in the state, shown and sent: ids, words and numbers, never a name of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

Id = tuple[str, str, str]
"""Connection, key of the target, subject."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One subject that misses one target. ``target``: its key, which its limits do not change; ``wanted``: ``at_least 3``.

    ``certain``: whether the whole 95 % interval misses it, None without one; ``on``: the local date of the book that said so.
    """

    connection: str
    target: str
    subject: str
    kpi: str
    variant: str
    window: str
    unit: str
    value: float
    wanted: str
    since: date
    no_go: bool
    certain: bool | None
    low_n: bool
    on: date
    words: str

    @property
    def id(self) -> Id:
        return self.connection, self.target, self.subject

    @property
    def state(self) -> str:
        """What must change before anybody is told again: ``missed at_least 3`` or ``no-go at_least 3``."""
        return f"{'no-go' if self.no_go else 'missed'} {self.wanted}"

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: dates as text."""
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Standing:
        """From :meth:`as_dict`, as read back."""
        dates = {name: date.fromisoformat(content[name]) for name in ("since", "on")}
        return cls(**{field.name: content[field.name] for field in fields(cls)} | dates)


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was last told of one subject of one target. ``over``: that it is missed no longer."""

    standing: Standing
    over: bool
    at: datetime

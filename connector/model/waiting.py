"""A plan that waits for a person, as it is kept in the state and sent: numbers, codes and our own words, never a value or a name of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from connector.model.standing import Id

PLAN = "plan"
"""In place of the key of a target, which has more words."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One connection's part of a plan that guards have stopped. ``guards``: (code, words); ``approvable``: no cause has to be mended first."""

    connection: str
    plan: str
    guards: tuple[tuple[str, str], ...]
    since: datetime
    approvable: bool

    @property
    def id(self) -> Id:
        return self.connection, PLAN, self.plan

    @property
    def next_steps(self) -> Sequence[str]:
        """The commands that lead on."""
        decide = ("approve", "reject") if self.approvable else ("reject",)
        return [f"connector plans {verb} {self.plan}" for verb in ("show", *decide)]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "since": self.since.isoformat()}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Waiting:
        """From :meth:`as_dict`, as read back."""
        guards = tuple((code, words) for code, words in content["guards"])
        since = datetime.fromisoformat(content["since"])
        return cls(content["connection"], content["plan"], guards, since, content["approvable"])

"""Stretches of stamps: how a window is asked for, cut off, gone on with and halved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from connector.clock import parse_instant
from connector.crms.salesforce import soql
from connector.errors import NoProgress, TooLarge

EARLIEST = datetime(1999, 1, 1, tzinfo=UTC)  # no org is older: the lower end of a first window that must be halved


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of stamps: from ``low`` (inclusive; None: the beginning), or after the record (stamp, id), to ``high`` inclusive."""

    low: datetime | None
    high: datetime
    after: tuple[datetime, str] | None = None

    def where(self, key: str) -> str:
        parts = []
        if self.after:
            stamp, last = soql.literal(self.after[0]), soql.literal(self.after[1])
            parts.append(f"(({key} > {stamp}) OR ({key} = {stamp} AND Id > {last}))")
        elif self.low:
            parts.append(f"{key} >= {soql.literal(self.low)}")
        return " AND ".join([*parts, f"{key} <= {soql.literal(self.high)}"])

    @staticmethod
    def of_page(keys: Sequence[tuple[datetime, str]], key: str) -> str:
        """The condition that holds for the records of a page, without the others of the same seconds. ``keys``: in the org's order.

        Which id comes before which is the org's affair: the ends of the page are taken as they stand in its answer.
        """
        (first, first_id), (last, last_id) = keys[0], keys[-1]
        if any(one[0] > other[0] for one, other in pairwise(keys)):  # a record saved meanwhile stands out of order
            return Range(min(keys)[0], max(keys)[0]).where(key)
        low, high = soql.literal(first), soql.literal(last)
        return (
            f"(({key} > {low}) OR ({key} = {low} AND Id >= {soql.literal(first_id)})) AND "
            f"(({key} < {high}) OR ({key} = {high} AND Id <= {soql.literal(last_id)}))"
        )

    @property
    def end(self) -> datetime:
        """The window's last second: what is stamped then or later may have been saved while the window is read."""
        return self.high.replace(microsecond=0)

    def following(self, keys: Sequence[tuple[datetime, str]]) -> Range:
        """What is left after a page. A record saved while the window is read may show its new stamp: it is no place to go on from."""
        last = next((key for key in reversed(keys) if key[0] < self.end), None)
        return replace(self, after=last) if last else self

    def mark(self) -> dict[str, str]:
        """The range as bookmark keys."""
        found = {"until": soql.literal(self.high)}
        if self.after:
            found |= {"stamp": soql.literal(self.after[0]), "id": self.after[1]}
        elif self.low:
            found["from"] = soql.literal(self.low)
        return found

    @classmethod
    def of(cls, mark: Mapping[str, str]) -> Range:
        """The range that a bookmark of a window cut off describes."""
        after = (parse_instant(mark["stamp"]), mark["id"]) if "stamp" in mark else None
        return cls(parse_instant(mark["from"]) if "from" in mark else None, parse_instant(mark["until"]), after)

    def halves(self) -> tuple[Range, Range]:
        """Raises TooLarge where a second cannot be halved."""
        low = self.after[0] if self.after else self.low or EARLIEST
        middle = (low + (self.high - low) / 2).replace(microsecond=0)
        if not low <= middle < self.end:
            raise TooLarge("the org cannot answer for a single second of changes")
        return replace(self, high=middle), Range(low=middle + timedelta(seconds=1), high=self.high)


@dataclass
class Progress:
    """What one read has already seen: a page that brings nothing new stops it instead of letting it loop.

    ``again``: how many records a query that had to be asked anew may bring a second time.
    """

    stamp: datetime | None = None
    ids: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    again: int = 0

    def restart(self) -> None:
        """The query is asked anew: records of the window's end come once more, since nothing goes on from them."""
        self.again = len(self.edited)

    def note(self, keys: Sequence[tuple[datetime, str]], end: datetime) -> bool:
        """Whether a page brings something new. Raises NoProgress where nothing excuses that it does not.

        Records stamped at the window's end or later may stand out of order: they are told apart by id alone.
        """
        late = {i for at, i in keys if at >= end} - self.edited
        fresh = [(at, i) for at, i in keys if at < end and self._new(at, i)]
        if not fresh and not late:
            if len(keys) > self.again:
                raise NoProgress("a page brought no record that the page before had not brought")
            self.again -= len(keys)
            return False
        self.edited |= late
        for at, i in fresh:
            if self.stamp is None or at > self.stamp:
                self.stamp, self.ids = at, set()
            self.ids.add(i)
        return True

    def _new(self, at: datetime, identity: str) -> bool:
        return self.stamp is None or at > self.stamp or (at == self.stamp and identity not in self.ids)

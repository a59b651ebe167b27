"""The leaderboard: reps by gamification_points. Off unless ``programme.leaderboard`` is true, and never shown without its warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.questions.team import points

WARNING = "counting activity is a trap (medtech CRO KPIs)"
"""What the source says of it; stands beside every leaderboard."""
SETTING = "programme.leaderboard"


@dataclass(frozen=True, slots=True)
class Standing:
    """One owner's points of the current fiscal quarter, by part, the records that earned them, and the rank (None: not ranked)."""

    owner: str
    points: int
    parts: Mapping[str, int]
    records: int
    rank: int | None


def leaderboard(book: Book) -> tuple[Standing, ...] | None:
    """Every owner of the book: those ranked by their points, then the others by id. None where lms.csv or coaching.csv was not given.

    An owner is ranked with at least ``thresholds.rank_n`` records, and nobody is while fewer than that many owners are. Equal points share a
    rank. Whether it is switched on is for the caller to ask (``book.settings.programme.leaderboard``).
    """
    earned = points(book)
    if earned is None:
        return None
    enough = book.settings.thresholds.rank_n
    sums = {owner: int(frame["points"].sum()) for owner, frame in earned.items()}
    able = {owner: sums[owner] for owner, frame in earned.items() if frame.height >= enough}
    ranked = able if len(able) >= enough else {}
    ranks = {owner: 1 + sum(more > mine for more in ranked.values()) for owner, mine in ranked.items()}
    standings = [Standing(owner, sums[owner], _parts(frame), frame.height, ranks.get(owner)) for owner, frame in earned.items()]
    return tuple(sorted(standings, key=lambda standing: (standing.rank is None, standing.rank or 0, standing.owner)))


def _parts(earned: pl.DataFrame) -> dict[str, int]:
    sums = earned.group_by("part", maintain_order=True).agg(pl.col("points").sum())
    return {str(part): int(number) for part, number in sums.iter_rows()}

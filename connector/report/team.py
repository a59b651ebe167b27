"""The rep programme: a leaderboard, only where a setting asks for it, never without its warning."""

from __future__ import annotations

from connector.kpis.leaderboard import WARNING
from connector.kpis.leaderboard import leaderboard as standings
from connector.report import words
from connector.report.content import Column, Section, Table
from connector.report.look import Look


def leaderboard(look: Look) -> Section | None:
    """Points of the current fiscal quarter by rep, None where the setting is off."""
    if not look.book.settings.programme.leaderboard:
        return None
    found = standings(look.book)
    if found is None:
        return Section("leaderboard", "Leaderboard", f"Note: {WARNING}.", missing="It needs inputs/lms.csv and inputs/coaching.csv.")
    rows = tuple(
        (
            look.owner(standing.owner), words.number(standing.rank), words.number(standing.points), words.number(standing.records),
            words.text(", ".join(f"{part} {points}" for part, points in standing.parts.items())),
        )
        for standing in found
    )  # fmt: skip
    heads = (Column("Rep"), Column("Rank", "number"), Column("Points", "number"), Column("Records", "number"), Column("Of which"))
    rank = look.book.settings.thresholds.rank_n
    return Section(
        "leaderboard", "Leaderboard", f"Points of {look.book.windows.quarter.label}. Note: {WARNING}.",
        tables=(Table("Points by rep", heads, rows, "nobody has a point yet"),),
        notes=(f"A rep is ranked from {rank} records on, and nobody while fewer than {rank} reps are.",),
    )  # fmt: skip

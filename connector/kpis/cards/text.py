"""Texts as a rep reads them: English, never localized, no number that ticks (scorecard-fields.md section 1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from connector.model.ladder import Ladder
from connector.model.records import PERSONAS

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day_text(day: date) -> str:
    """
    >>> day_text(date(2026, 8, 4))
    '4 Aug 2026'
    """
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def labels_of(personas: Iterable[str]) -> str:
    """
    >>> labels_of(["cfo", "cmio", "security"])
    'CFO, CMIO, Security'
    """
    return ", ".join(PERSONAS.get(key, key) for key in personas)


def stage_label(ladder: Ladder, stage: str | None) -> str:
    """The rung's label; an unmapped stage says so."""
    return "an unmapped stage" if stage is None else ladder.label(stage)

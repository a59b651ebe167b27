"""What the scorecard of a deal says in the days after it closed: how it ended, and that nothing is open any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.cards.explain import blended_sentences, pilot_sentences
from connector.kpis.cards.text import day_text, stage_label
from connector.kpis.questions.conversion import pilot_spans
from connector.kpis.questions.results import recurring_and_capital

ENDED: Mapping[str, Any] = {
    "stage_benchmark_days": None, "pace": None, "stale_reason": [], "open_gates": [], "compliance_since": None, "pilot_limit_on": None,
    "personas_missing": [], "touch_density": None, "win_chance": None, "win_chance_n": None, "data_gaps": [],
}  # fmt: skip
"""Manifest keys that say how an open deal stands. The others (buyers, pushes, times moved back …) are history and stay as last written."""


@dataclass(frozen=True, slots=True)
class ClosedCard:
    """``values``: manifest key → value, as those of :class:`Scorecard`; keys that are absent stay as they are."""

    values: Mapping[str, Any]
    why: Mapping[str, Sequence[str]]


def closed_cards(book: Book, days: int, beside: Collection[str] = ()) -> dict[str, ClosedCard]:
    """Deals of any type that closed in the last ``days`` days, today included, in a stage that is mapped; none for 0. ``beside``: ids of deals
    that are told whenever they closed, because a record of ours stands beside them and would go on saying how they stood.
    """
    since = book.today - timedelta(days=days - 1)
    late = pl.col("closed").is_between(since, book.today) if days > 0 else pl.lit(value=False)
    rows = book.deals.filter((pl.col("cls") != "open") & pl.col("stage").is_not_null() & (late.fill_null(value=False) | pl.col("id").is_in(beside)))
    found = {}
    for id, stage, entered, closed in rows.select("id", "stage", "entered", "closed").iter_rows():
        said: Sequence[str] = [f"{stage_label(book.ladder, stage)}: closed{f' on {day_text(closed)}' if closed is not None else ''}"]
        ended = {"stage": stage, "stage_entered_on": entered, **ENDED}
        began, over = pilot_spans(book).get(id, (None, None))
        kept = {"pilot_started_on": began, "pilot_ended_on": over, "blended_arr": recurring_and_capital(book)[id]}
        pilot = list(pilot_sentences(book, id))
        why = dict.fromkeys(ended, said) | {"pilot_started_on": pilot, "pilot_ended_on": pilot, "blended_arr": list(blended_sentences(book, id))}
        found[id] = ClosedCard(ended | kept, why)
    return found

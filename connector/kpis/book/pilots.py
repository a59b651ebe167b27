"""Pilots that are deals of their own: which deal each serves, and what that deal learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

PILOT = "pilot"
"""The deal type of a pilot that is a deal of its own."""


def linked(deals: pl.DataFrame, link: Sequence[str], today: date) -> pl.DataFrame:
    """Deals whose pilot dates come from the pilots linked to them by equal, known values of ``link`` (account, product).

    A pilot begins on its own pilot_started_on, else when it was created; it ends on its pilot_ended_on, else when it was closed. It serves the
    new-business deal that was open when it began, of several the one created last; else the first one created after it. Void pilots, and
    pilots without such a deal, serve none. A deal's own dates win; of several pilots the first beginning and the last end count, and none
    has ended while one runs.
    """
    if not link or deals.is_empty():
        return deals
    rows = deals.select("id", "deal_type", "cls", "created", "closed", "pilot_started_on", "pilot_ended_on", *dict.fromkeys(link)).rows(named=True)
    serving: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["deal_type"] == "new_business" and row["cls"] != "void" and row["created"] is not None:
            serving.setdefault(tuple(row[name] for name in link), []).append(row)
    spans: dict[str, list[tuple[date, date | None]]] = {}
    for row in rows:
        key = tuple(row[name] for name in link)
        begun = row["pilot_started_on"] or row["created"]
        if row["deal_type"] == PILOT and row["cls"] != "void" and None not in key and begun is not None and begun <= today:
            deal = _served(serving.get(key, []), begun)
            if deal is not None:
                spans.setdefault(deal, []).append((begun, row["pilot_ended_on"] or row["closed"]))
    if not spans:
        return deals
    begins = {deal: min(begun for begun, _ in found) for deal, found in spans.items()}
    ends = {deal: _last([end for _, end in found]) for deal, found in spans.items()}
    ids = deals["id"].to_list()
    own = pl.col("pilot_started_on").is_not_null()
    return deals.with_columns(
        pilot_started_on=pl.coalesce("pilot_started_on", pl.Series([begins.get(id) for id in ids], dtype=pl.Date)),
        pilot_ended_on=pl.when(own).then("pilot_ended_on").otherwise(pl.Series([ends.get(id) for id in ids], dtype=pl.Date)),
    )


def _served(candidates: Sequence[dict[str, Any]], begun: date) -> str | None:
    """The deal that a pilot begun on a day serves, None: no candidate."""
    there = [row for row in candidates if row["created"] <= begun and (row["closed"] is None or row["closed"] >= begun)]
    later = [row for row in candidates if row["created"] > begun]
    if there:
        return str(max(there, key=lambda row: (row["created"], row["id"]))["id"])
    return str(min(later, key=lambda row: (row["created"], row["id"]))["id"]) if later else None


def _last(ends: Sequence[date | None]) -> date | None:
    """The last of some ends; None while one has not come."""
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None

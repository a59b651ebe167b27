"""Who: surviving accounts, owners at the time, contacts on deals, and what was done with them (catalogue R9, R10, R18, R19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl


def survivors(accounts: pl.DataFrame) -> dict[str, str]:
    """Merged account → its survivor, through chains. A ring of merges ends where it began."""
    step = {loser: winner for loser, winner in accounts.select("id", "merged_into").iter_rows() if winner is not None}
    found: dict[str, str] = {}
    for loser in step:
        last, seen = loser, {loser}
        while last in step and step[last] not in seen:
            last = step[last]
            seen.add(last)
        found[loser] = last
    return found


def resolve(accounts: pl.DataFrame, merged: Mapping[str, str]) -> pl.DataFrame:
    """Accounts that survived, by id."""
    return accounts.filter(~pl.col("id").is_in(list(merged))).sort("id")


def with_owners(deals: pl.DataFrame, history: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """``owner`` becomes the owner at the close moment for closed deals; ``owner_created`` is added. Without history: the present owner."""
    history = history.filter(pl.col("at") <= as_of)
    if history.is_empty():
        return deals.with_columns(owner_created=pl.col("owner"))
    rows: dict[str, list[tuple[datetime, str | None]]] = {}
    for deal, owner, at in history.sort("at", maintain_order=True).select("opportunity", "owner", "at").iter_rows():
        rows.setdefault(deal, []).append((at, owner))

    def owner_at(deal: str, moment: datetime | None, present: str | None) -> str | None:
        if deal not in rows or moment is None:
            return present
        before = [owner for when, owner in rows[deal] if when <= moment]
        return before[-1] if before else rows[deal][0][1]

    columns = deals.select("id", "owner", "closed_at", "created_at").rows()
    return deals.with_columns(
        pl.Series("owner", [owner_at(deal, closed, owner) for deal, owner, closed, _ in columns], dtype=pl.String),
        pl.Series("owner_created", [owner_at(deal, created, owner) for deal, owner, _, created in columns], dtype=pl.String),
    )


def roles(rows: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """Contacts on deals: opportunity, contact, persona (of the role, else of the contact; null: unknown), added_on, stance."""
    personas = contacts.select(pl.col("id").alias("contact"), pl.col("persona").alias("own")).unique("contact", keep="first", maintain_order=True)
    return (
        rows.join(personas, on="contact", how="left", maintain_order="left")
        .with_columns(persona=pl.coalesce("persona", "own"))
        .select("opportunity", "contact", "persona", "added_on", "stance")
        .sort("opportunity", "contact", "added_on", "persona")
    )


def activities(
    rows: pl.DataFrame, deals: pl.DataFrame, merged: Mapping[str, str], ignored: Sequence[str], as_of: datetime, today: date, zone: str
) -> pl.DataFrame:
    """Activities that count: columns of the section, ``on`` (local date), account (the survivor; the deal's where none is given), and the flags

    past (happened by now), held, touch (call, email, held meeting), two_way (held meeting, inbound email, call that was answered or says nothing).
    Those of ignored authors and of deals that do not exist are gone.
    """
    home = deals.select(pl.col("id").alias("opportunity"), pl.col("account").alias("deal_account"))
    kept = rows.filter(
        ~pl.col("created_by").is_in(list(ignored)).fill_null(False)
        & (pl.col("opportunity").is_null() | pl.col("opportunity").is_in(deals["id"].implode()))
        & (pl.col("at").is_null() | (pl.col("at") <= as_of))
    )
    kind, outcome = pl.col("kind"), pl.col("outcome")
    kept = (
        kept.join(home, on="opportunity", how="left", maintain_order="left")
        .with_columns(
            on=pl.coalesce(pl.col("at").dt.convert_time_zone(zone).dt.date(), "on"),
            account=pl.coalesce(pl.col("account").replace(merged), "deal_account"),
        )
        .with_columns(past=(pl.col("on") <= today).fill_null(False))
        .with_columns(held=pl.col("past") & (kind == "meeting") & (outcome == "held").fill_null(False))
    )
    answered = (kind == "call") & (outcome.is_null() | (outcome == "connected"))
    inbound = (kind == "email") & (pl.col("direction") == "inbound").fill_null(False)
    return (
        kept.with_columns(
            touch=pl.col("held") | (pl.col("past") & kind.is_in(["call", "email"])), two_way=pl.col("held") | (pl.col("past") & (answered | inbound))
        )
        .drop("deal_account")
        .sort("on", "id", "opportunity", nulls_last=True)
    )


def once(activities: pl.DataFrame) -> pl.DataFrame:
    """Every activity once, however many deals it is on."""
    return activities.filter(pl.col("id").is_null() | pl.col("id").is_first_distinct())

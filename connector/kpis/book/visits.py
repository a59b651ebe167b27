"""Visits, moves and closes: what a deal's stage history says (catalogue R5, R6, R12)."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from connector.model.ladder import Ladder

DEAL = "opportunity"


def rungs(ladder: Ladder) -> pl.DataFrame:
    """The ladder as a frame: stage, cls (class), kind, rank (null for terminal and parked rungs)."""
    ranks = ladder.ranks
    rows = [(rung.key, ladder.stage_class(rung.key), rung.kind, ranks.get(rung.key)) for rung in ladder.ladder]
    return pl.DataFrame(rows, schema={"stage": pl.String, "cls": pl.String, "kind": pl.String, "rank": pl.Int64}, orient="row")


def _merge_equal(rows: pl.DataFrame) -> pl.DataFrame:
    previous = pl.col("identity").shift().over(DEAL)
    return rows.filter(previous.is_null() | (previous != pl.col("identity")))


def visits(history: pl.DataFrame, ladder: Ladder, *, as_of: datetime, today: date, min_seconds: int, zone: str) -> pl.DataFrame:
    """One row per stay of a deal in a stage, closed stages included, in time order.

    Columns: opportunity, stage (null: unmapped), raw_stage, id, cls, kind, rank, number (1 …), entered_at, left_at, entered, left (null while
    it runs), running, days (so far, for running ones). Rows of one instant are in the order of their ids, those without one in the order of
    ``history``. Stages that the ladder does not hold are unmapped.
    """
    known = list(ladder.rungs)
    rows = (
        history.filter(pl.col("entered_at") <= as_of)
        .with_row_index("place")
        .with_columns(stage=pl.when(pl.col("stage").is_in(known)).then(pl.col("stage")))
        .with_columns(identity=pl.coalesce("stage", pl.lit("?") + pl.col("raw_stage").fill_null("")))
        .sort(DEAL, "entered_at", "id", "place")
    )
    rows = _merge_equal(rows)
    after = pl.col("entered_at").shift(-1).over(DEAL)
    rows = _merge_equal(rows.filter(after.is_null() | ((after - pl.col("entered_at")).dt.total_microseconds() >= min_seconds * 1_000_000)))
    rows = rows.join(rungs(ladder), on="stage", how="left", maintain_order="left").with_columns(
        pl.col("cls").fill_null("open"),
        left_at=pl.col("entered_at").shift(-1).over(DEAL),
        number=pl.int_range(1, pl.len() + 1).over(DEAL),
        entered=pl.col("entered_at").dt.convert_time_zone(zone).dt.date(),
    )
    rows = rows.with_columns(left=pl.col("left_at").dt.convert_time_zone(zone).dt.date(), running=pl.col("left_at").is_null())
    return rows.with_columns(days=(pl.col("left").fill_null(today) - pl.col("entered")).dt.total_days()).drop("identity", "place")


def closes(stays: pl.DataFrame) -> pl.DataFrame:
    """Per deal: opportunity, closed_at (it entered its present class; null while open), first_closed_at (it first left the open class)."""
    run = pl.col("cls").rle_id().over(DEAL)
    last = stays.with_columns(run=run).filter(pl.col("run") == pl.col("run").max().over(DEAL))
    present = last.group_by(DEAL).agg(pl.col("cls").first(), closed_at=pl.col("entered_at").min())
    first = stays.filter(pl.col("cls") != "open").group_by(DEAL).agg(first_closed_at=pl.col("entered_at").min())
    return present.join(first, on=DEAL, how="left").with_columns(closed_at=pl.when(pl.col("cls") != "open").then(pl.col("closed_at"))).drop("cls")


def moves(stays: pl.DataFrame) -> pl.DataFrame:
    """Transitions: each leaves an open stage. Columns of the visit left, and to_stage, to_rank, to_kind, moved (date), regression.

    A regression goes to a lower rank, but not from one gate to another.
    """
    following = stays.with_columns(
        to_stage=pl.col("stage").shift(-1).over(DEAL), to_rank=pl.col("rank").shift(-1).over(DEAL), to_kind=pl.col("kind").shift(-1).over(DEAL)
    )
    both_gates = ((pl.col("kind") == "gate") & (pl.col("to_kind") == "gate")).fill_null(False)
    return following.filter((pl.col("cls") == "open") & ~pl.col("running")).with_columns(
        moved=pl.col("left"), regression=(pl.col("to_rank") < pl.col("rank")).fill_null(False) & ~both_gates
    )

"""Gates as intervals of days, and what single deals demand of them (catalogue R11)."""

from __future__ import annotations

from datetime import date

import polars as pl

from connector.model.ladder import Ladder


def intervals(
    rows: pl.DataFrame, deals: pl.DataFrame, ladder: Ladder, today: date, observed_since: date | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Intervals and demands of gates.

    Intervals: opportunity, gate, opened, decided (null: not yet), result, until (decision, else close, else today), open, done, compliance, days,
    unseen, quality. Decided before opened is left out. ``unseen``: days that a gate whose decision can only be observed had been open when
    somebody first looked; gates decided before that day are not known, so it is at risk of ending only from then on (delayed entry).
    Demands: opportunity, gate, required, approved: one row per row of the section.
    """
    compliance = [gate.key for gate in ladder.gates if gate.compliance]
    facts = deals.select(pl.col("id").alias("opportunity"), "cls", "closed")
    rows = rows.join(facts, on="opportunity", how="left", maintain_order="left").with_columns(
        later=(pl.col("decided_on") > today).fill_null(False), opened=pl.col("opened_on")
    )
    rows = rows.with_columns(
        decided=pl.when(~pl.col("later")).then(pl.col("decided_on")), result=pl.when(~pl.col("later")).then(pl.col("result"))
    ).with_columns(undecided=pl.col("decided").is_null() & pl.col("result").is_null())
    demands = rows.select("opportunity", "gate", "required", approved=(pl.col("result") == "approved").fill_null(False))
    late = pl.lit(observed_since, dtype=pl.Date)
    found = (
        rows.filter((pl.col("opened") <= today) & (pl.col("undecided") | pl.col("decided").is_not_null()))
        .with_columns(
            until=pl.coalesce("decided", "closed", pl.lit(today)),
            open=pl.col("undecided") & (pl.col("cls") == "open"),
            done=pl.col("decided").is_not_null(),
            compliance=pl.col("gate").is_in(compliance),
        )
        .filter(pl.col("until") >= pl.col("opened"))
        .with_columns(
            days=(pl.col("until") - pl.col("opened")).dt.total_days(),
            unseen=pl.when((pl.col("quality") == "observed") & (pl.col("opened") < late))
            .then((late - pl.col("opened")).dt.total_days())
            .fill_null(0),
        )
        .sort("opportunity", "opened", "gate")
    )
    return found.select(
        "opportunity", "gate", "opened", "decided", "result", "until", "open", "done", "compliance", "days", "unseen", "quality"
    ), demands

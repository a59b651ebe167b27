"""What is usual here: time in a stage, limit of a gate, chance to win from a stage. Measured on this book's own past."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from connector.kpis.book.book import Book, derived
from connector.kpis.shapes import by, survival
from connector.kpis.stats import Curve

Key = tuple[str | None, str, str | None]  # deal type, stage, segment (None: all segments)


@dataclass(frozen=True, slots=True)
class Chance:
    """Shrunk chance to win: ``n`` closed deals that visited the stage, ``wins`` of them won, ``segment`` None where all segments stand in."""

    value: float
    n: int
    wins: int
    segment: str | None


@derived
def stays(book: Book) -> pl.DataFrame:
    """Visits to mapped open stages, with done (ended) and unseen_start: the history begins inside the visit.

    The first visit of a deal that is older than its history, where that was only observed: nobody knows when it began, so its length is read
    by no statistic (catalogue 4, left truncation).
    """
    created = book.deals.select(pl.col("id").alias("opportunity"), "created")
    rows = book.dwell.filter(pl.col("stage").is_not_null()).join(created, on="opportunity", how="left", maintain_order="left")
    late = (pl.col("created") < pl.col("entered")).fill_null(True)
    unseen = (pl.col("quality") == "observed").fill_null(False) & (pl.col("number") == 1) & late
    return rows.with_columns(done=~pl.col("running"), unseen_start=unseen)


@derived
def _stage_curves(book: Book) -> dict[Key, tuple[Curve, int]]:
    """(curve, ended visits) per deal type and stage, for all segments and for each."""
    rows = stays(book).filter((pl.col("deal_cls") != "void") & ~pl.col("unseen_start"))
    curves: dict[Key, tuple[Curve, int]] = {}
    for (kind, stage), part in rows.partition_by("deal_type", "stage", as_dict=True).items():
        curves[kind, str(stage), None] = survival(part), int(part["done"].sum())
        for segment, sub in by(part, "segment"):
            curves[kind, str(stage), segment] = survival(sub), int(sub["done"].sum())
    return curves


def stage_benchmark(book: Book, deal_type: str | None, stage: str, segment: str | None) -> tuple[Curve, str | None] | None:
    """The curve of a stage over deals of one type, and the segment it was taken from: the deal's own where it has at least
    ``thresholds.benchmark_min_events`` ended visits, else None (all). None: nobody of the type was ever in the stage."""
    curves = _stage_curves(book)
    own = curves.get((deal_type, stage, segment or "unknown"))
    if own is not None and own[1] >= book.settings.thresholds.benchmark_min_events:
        return own[0], segment or "unknown"
    everyone = curves.get((deal_type, stage, None))
    return None if everyone is None else (everyone[0], None)


@derived
def gate_limits(book: Book) -> dict[str, float]:
    """Days after which a gate is stuck: ``gate_limit_days``, else the Kaplan–Meier p75 of the gate (new business); absent: no limit yet."""
    limits = {}
    for gate, part in by(book.of_new_business(book.gates), "gate"):
        usual = survival(part).quantile(0.75)
        if usual is not None:
            limits[gate] = usual
    return limits | {gate: float(days) for gate, days in book.settings.thresholds.gate_limit_days.items()}


@derived
def _closed_visits(book: Book) -> dict[Key, tuple[int, int]]:
    """(closed deals that visited the stage, won ones) per type, stage and segment."""
    seen = book.dwell.filter(pl.col("stage").is_not_null() & pl.col("deal_cls").is_in(["won", "lost", "no_decision"]))
    seen = seen.unique(["opportunity", "stage"]).with_columns(pl.col("segment").fill_null("unknown"), won=pl.col("deal_cls") == "won")
    found: dict[Key, tuple[int, int]] = {}
    for keys in (["deal_type", "stage"], ["deal_type", "stage", "segment"]):
        for row in seen.group_by(keys).agg(n=pl.len(), wins=pl.col("won").sum()).iter_rows():
            found[row[0], row[1], row[2] if len(keys) == 3 else None] = row[-2], row[-1]
    return found


@derived
def _type_rates(book: Book) -> dict[str | None, float]:
    """Win rate of all closed deals per type."""
    closed = book.deals.filter(pl.col("cls").is_in(["won", "lost", "no_decision"]))
    return dict(closed.group_by("deal_type").agg((pl.col("cls") == "won").mean()).iter_rows())


def win_chance(book: Book, deal_type: str | None, stage: str | None, segment: str | None) -> Chance | None:
    """(wins + m·r) ÷ (n + m) of closed deals of the type that visited the stage, of the segment if it has at least ``low_n``, else of all;
    r is the win rate of the type, m ``probability.shrinkage``. None where n = 0."""
    if stage is None:
        return None
    visited = _closed_visits(book)
    segment = segment or "unknown"
    n, wins = visited.get((deal_type, stage, segment), (0, 0))
    taken: str | None = segment
    if n < book.settings.thresholds.low_n:
        n, wins = visited.get((deal_type, stage, None), (0, 0))
        taken = None
    if n == 0:
        return None
    m = book.settings.probability.shrinkage
    return Chance((wins + m * _type_rates(book)[deal_type]) / (n + m), n, wins, taken)

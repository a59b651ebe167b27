"""Which lead sources bring deals that close, and close cleanly? (catalogue 8.2)"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals
from connector.kpis.questions.compliance import reviews
from connector.kpis.questions.results import won_share
from connector.kpis.questions.speed import cycles
from connector.kpis.shapes import by, middle, quantiles, rate, survival


@kpi("lead_source_quality_by_compliance", number=21, grain="lead source", kind="lagging", write_back="K",
     units={"win_rate": "ratio", "cycle_km_median": "days", "compliance_days_mean": "days", "contract_compliance_rate": "ratio"},
     source="conference leads against general ads (healthcare CRO metrics)")  # fmt: skip
def lead_source_quality_by_compliance(book: Book) -> Iterator[Row]:
    """How the new-business deals of a lead source do, over T12M.

    ``win_rate``: won ÷ closed; ``cycle_km_median``: Kaplan–Meier median of the sales cycle over all time, open deals censored;
    ``compliance_days_mean``: mean days covered by the compliance gates of closed deals that had one; ``contract_compliance_rate``: won deals on
    standard terms ÷ won deals with an answer, the others ``unknown``. ``n``: deals of each. A deal without a source is under ``unknown``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", lead_source="ads")
    >>> company = company.add("gates", opportunity="D1", gate="security", opened_on="2026-06-01", decided_on="2026-06-21", result="approved")
    >>> company.show("lead_source_quality_by_compliance", "compliance_days_mean", "source=ads")
    '20 days, n=1, low n'
    """
    rolling = book.windows.rolling
    judged, won = dict(by(book.judged(rolling), "source")), dict(by(book.won(rolling), "source"))
    reviewed, lengths = dict(by(_reviewed(book), "source")), dict(by(cycles(book), "source"))
    nothing = book.new_business.clear()
    for source, _ in by(book.new_business, "source"):
        subject = f"source={source}"
        yield won_share(subject, rolling.label, judged.get(source, nothing), variant="win_rate")
        yield _cycle(subject, lengths.get(source, cycles(book).clear()))
        gated = reviewed.get(source, _reviewed(book).clear())
        told = of_deals(gated, "closed", "compliance_days")
        yield from middle(subject, rolling.label, gated["compliance_days"], {"compliance_days_mean": "mean"}, evidence=told)
        yield _on_terms(subject, rolling.label, won.get(source, nothing))


def _reviewed(book: Book) -> pl.DataFrame:
    """Closed deals of T12M that had a compliance gate, with compliance_days (of the union of the gates)."""
    known = reviews(book)
    deals = book.closed(book.windows.rolling)
    days = pl.Series("compliance_days", [known[id].union if id in known else None for id in deals["id"]], dtype=pl.Int64)
    return deals.with_columns(days).filter(pl.col("compliance_days").is_not_null())


def _cycle(subject: str, deals: pl.DataFrame) -> Row:
    row = next(quantiles(subject, "ALL", survival(deals), ["km_median"], evidence=of_deals(deals, "created", "closed", "days", "done")))
    return row._replace(variant="cycle_km_median")


def _on_terms(subject: str, window: str, won: pl.DataFrame) -> Row:
    answered = won.filter(pl.col("standard_terms").is_not_null())
    hits, unknown = int(answered["standard_terms"].sum()), {"unknown": won.height - answered.height}
    told = of_deals(answered, "closed", "standard_terms")
    return rate(subject, window, hits, answered.height, variant="contract_compliance_rate", excluded=unknown, evidence=told)

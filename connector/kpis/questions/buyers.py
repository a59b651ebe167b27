"""With which buyers do we win? (catalogue 8.2)"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import polars as pl

from connector.kpis.book.book import Book
from connector.kpis.book.money import MONEY
from connector.kpis.definition import Row, kpi
from connector.kpis.evidence import of_deals
from connector.kpis.personas import by_persona, personas
from connector.kpis.questions.results import won_share
from connector.kpis.shapes import by, money, quotient

HEALTHTECH, HEALTHCARE = "healthtech CRO KPIs", "healthcare CRO metrics"


def _sets(book: Book) -> pl.DataFrame:
    """id, keys: the personas of a deal, sorted, as a list."""
    return personas(book).group_by(pl.col("opportunity").alias("id"), maintain_order=True).agg(keys=pl.col("persona"))


def _known(book: Book) -> tuple[pl.DataFrame, dict[str, int]]:
    """Closed deals of T12M that have a known persona, with keys, and how many have none."""
    closed = book.judged(book.windows.rolling)
    known = closed.join(_sets(book), on="id", maintain_order="left")
    return known, {"unknown_persona": closed.height - known.height}


@kpi("win_rate_by_persona", number=18, grain="persona", units="ratio", kind="lagging", write_back="K",
     source=f"CMIO against VP of IT ({HEALTHCARE}); CIO against clinical director ({HEALTHTECH})")  # fmt: skip
def win_rate_by_persona(book: Book) -> Iterator[Row]:
    """Win rate (win_rate) over the deals closed in T12M on which the persona was associated before the close.

    A deal with several personas counts under each; closed deals without a known one are ``unknown_persona``. ``n``: closed deals with the
    persona. An association, not an effect: larger deals have more people on them.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").add("contacts", id="C1", persona="cfo")
    >>> company.add("opportunity_contacts", opportunity="D1", contact="C1").show("win_rate_by_persona", subject="persona=cfo")
    '1 ratio, n=1, 0.21–1.00, low n'
    """
    known, unknown = _known(book)
    for persona, part in by_persona(book, known):
        yield won_share(f"persona={persona}", book.windows.rolling.label, part, excluded=unknown)


@kpi("win_rate_by_persona_combination", number=19, grain="persona set", units={"": "ratio", "pair_lift": "x"}, kind="lagging", write_back="K",
     source=f"CMO and CFO against IT and procurement ({HEALTHCARE})")  # fmt: skip
def win_rate_by_persona_combination(book: Book) -> Iterator[Row]:
    """Win rate over the deals closed in T12M by their exact set of personas (``a+b``, sorted).

    ``pair_lift``: win rate of the deals that have both of a pair, whoever else is on them ÷ win rate of all closed deals. ``n``: closed deals
    with the set (pair); deals without a known persona are ``unknown_persona``. Sets are shown from n = 5 on.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02").deal("D2", "demo 2026-05-04", "closed_lost 2026-08-02")
    >>> company = company.add("contacts", id="C1", persona="cfo").add("contacts", id="C2", persona="cmio")
    >>> company = company.add("opportunity_contacts", opportunity="D1", contact="C1").add("opportunity_contacts", opportunity="D1", contact="C2")
    >>> company.show("win_rate_by_persona_combination", "pair_lift", "personas=cfo+cmio")
    '2 x, n=1, low n, unknown_persona=1'
    """
    label = book.windows.rolling.label
    known, unknown = _known(book)
    for keys, part in by(known.with_columns(keys=pl.col("keys").list.join("+")), "keys"):
        yield won_share(f"personas={keys}", label, part, excluded=unknown)
    overall = won_share("company", label, book.judged(book.windows.rolling)).value
    assert overall is None or isinstance(overall, float)
    for pair in sorted({pair for keys in known["keys"].to_list() for pair in combinations(keys, 2)}):
        part = known.filter(pl.all_horizontal(pl.col("keys").list.contains(key) for key in pair))
        row = won_share(f"personas={'+'.join(pair)}", label, part)
        assert isinstance(row.value, float)
        yield quotient(row.subject, label, row.value, overall, row.n, variant="pair_lift", excluded=unknown, evidence=row.evidence)


@kpi("revenue_by_persona", number=22, grain="persona", units={"overlapping": "money", "split": "money"}, kind="lagging", write_back="K",
     source=f"revenue attribution by buyer persona ({HEALTHCARE})")  # fmt: skip
def revenue_by_persona(book: Book) -> Iterator[Row]:
    """Amount of new-business deals won in T12M by the personas that were on them before the close.

    ``overlapping``: every deal counts in full under each of its personas (not additive); ``split``: it is divided equally among them (additive).
    Deals without a known persona are under ``unknown``. ``n``: won deals with an amount; the others are ``missing_amount`` or ``missing_fx``.

    >>> from connector.kpis.example import example
    >>> company = example().deal("D1", "demo 2026-05-04", "closed_won 2026-08-02", amount=500)
    >>> company = company.add("contacts", id="C1", persona="cfo").add("contacts", id="C2", persona="cmio")
    >>> company = company.add("opportunity_contacts", opportunity="D1", contact="C1").add("opportunity_contacts", opportunity="D1", contact="C2")
    >>> company.show("revenue_by_persona", "split", "persona=cfo")
    '250 money, n=1'
    """
    label = book.windows.rolling.label
    held = personas(book).select("persona", among=pl.len().over("opportunity"), id="opportunity")
    won = book.won(book.windows.rolling).join(held, on="id", how="left", maintain_order="left").with_columns(pl.col("among").fill_null(1))
    won = won.with_columns(part=pl.col("amount") / pl.col("among").cast(MONEY), part_why=pl.col("amount_why"))
    for persona, deals in by(won, "persona"):
        if deals["amount"].count():
            told = of_deals(deals, "closed", "amount", "among", "part", pl.col("amount_why").alias("left_out"))
            yield money(f"persona={persona}", label, deals, variant="overlapping")._replace(evidence=told)
            yield money(f"persona={persona}", label, deals, "part", variant="split")._replace(evidence=told)

"""Do customers stay and grow? (catalogue 8.9)"""

from __future__ import annotations

from collections.abc import Iterator

from connector.kpis.book import Book
from connector.kpis.definition import Row, kpi
from connector.kpis.ledger import ledger
from connector.kpis.money import total
from connector.kpis.shapes import missing, quotient, rate, slices


@kpi("logo_retention_rate", number=83, grain="segment, company", units={"": "ratio", "renewed_due": "ratio"}, kind="lagging", write_back="K",
     needs=("arr_ledger", "renewals"), rests_on="none", source="percentage who renew (healthtech CRO KPIs)")  # fmt: skip
def logo_retention_rate(book: Book) -> Iterator[Row]:
    """Customers with ARR on the day before T12M that still have ARR ÷ customers with ARR then.

    ``renewed_due``: renewals renewed ÷ decided, of those due in T12M.
    """
    entries, window = ledger(book), book.windows.rolling
    if entries is None:
        yield missing("company", window.label)
    else:
        for subject, part in slices(entries.cohort(window), "segment"):
            yield rate(subject, window.label, int((part["arr_now"] > 0).sum()), part.height)
    yield _renewed(book)


def _renewed(book: Book) -> Row:
    window, rows = book.windows.rolling, book.inputs.rows("renewals")
    if rows is None:
        return missing("company", window.label, "renewed_due")
    due = [row for row in rows if window.holds(row["due_on"])]
    decided = [row for row in due if row["renewed"] is not None and (row["renewed_on"] is None or row["renewed_on"] <= book.today)]
    renewed = sum(1 for row in decided if row["renewed"] > 0)
    return rate("company", window.label, renewed, len(decided), variant="renewed_due", pending=len(due) - len(decided))


@kpi("nrr", number=84, grain="segment, company", units="ratio", kind="lagging", write_back="A K", needs=("arr_ledger",), rests_on="none",
     source="below 100 %: a plan (healthtech CRO KPIs); above 110 % (healthcare CRO metrics)")  # fmt: skip
def nrr(book: Book) -> Iterator[Row]:
    """ARR now of the customers of the day before T12M ÷ their ARR then, at one constant rate. Net revenue retention."""
    entries, window = ledger(book), book.windows.rolling
    if entries is None:
        yield missing("company", window.label)
        return
    for subject, part in slices(entries.cohort(window), "segment"):
        yield quotient(subject, window.label, total(part["arr_now"]), total(part["arr"]), part.height)

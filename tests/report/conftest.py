"""Reports of the golden org and of small companies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.kpis.book.book import Book
from connector.kpis.compute import from_inputs
from connector.report import sections
from connector.report.content import Report

GOLDEN_FILE = Path(__file__).parents[1] / "kpis" / "golden.json"


def report_of(book: Book, *, names: bool = True) -> Report:
    """A report with the names that the book itself has."""
    called = dict(book.deals.select("id", "name").drop_nulls().iter_rows()) if names else {}
    return sections.report(book, "golden", "file", deal_names=called)


@pytest.fixture(scope="session")
def golden_book() -> Book:
    return from_inputs(json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))["inputs"])


@pytest.fixture(scope="session")
def golden(golden_book: Book) -> Report:
    return report_of(golden_book)

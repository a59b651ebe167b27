"""docs/report.png: the sandbox company's review after a quarter of runs, as Debian's chromium shows it. ``make screenshot``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from connector.cli.main import main
from tests.report.browser import CHROMIUM, opened
from tests.report.company import RUNS, company

TARGET = Path(__file__).parents[2] / "docs" / "report.png"
WIDTH, HEIGHT = 1200, 1960


def take(target: Path = TARGET) -> Path:
    """Make the company, its report and the picture."""
    with tempfile.TemporaryDirectory() as place, company(Path(place) / "demo", lived_on=RUNS) as root:
        assert main(["--project", str(root), "report", "--out", str(Path(place) / "reports")]) == 0
        (page,) = (Path(place) / "reports").glob("*.html")
        with sync_playwright() as playwright, opened(playwright, page, width=WIDTH, height=HEIGHT) as seen:
            target.parent.mkdir(exist_ok=True)
            seen.page.screenshot(path=target)
    return target


if __name__ == "__main__":
    assert CHROMIUM, "chromium is not installed: apt-get install chromium"
    print(take())

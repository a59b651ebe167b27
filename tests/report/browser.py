"""A report in Debian's chromium, with everything that goes wrong written down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, Playwright

CHROMIUM = shutil.which("chromium")
WATCH = "window.violations = []; document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective));"


@dataclass
class Seen:
    """A page and what was heard of it: console lines, errors, requests for anything but the file itself, failed requests."""

    page: Page
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """Directives of the Content-Security-Policy that something offended."""
        found = self.page.evaluate("window.violations")
        assert isinstance(found, list)
        return found


@contextmanager
def opened(
    playwright: Playwright, path: Path, *, width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Seen]:  # fmt: skip
    """The file in a browser, all its charts drawn."""
    assert CHROMIUM
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    try:
        seen = Seen(browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme))
        seen.page.add_init_script(WATCH)
        seen.page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("requestfailed", lambda request: seen.failed.append(request.url))
        seen.page.goto(path.resolve().as_uri())
        seen.page.wait_for_function("document.documentElement.dataset.charts !== undefined")
        seen.requests.remove(path.resolve().as_uri())
        yield seen
    finally:
        browser.close()

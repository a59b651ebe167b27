"""The page: one HTML file that asks for nothing outside itself. Its scripts and style are allowed by their hashes, everything else is forbidden."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from connector.report.charts import specification
from connector.report.content import Report

VENDORED = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
"""In the order in which they need one another. Vega-Embed brings Vega's expression interpreter: nothing is evaluated from text."""
SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.M)


def render(report: Report) -> str:
    """The whole file."""
    scripts = [*(SOURCE_MAP.sub("", _asset(f"vendor/{name}")) for name in VENDORED), _asset("templates/page.js")]
    style = _asset("templates/style.css")
    charts = {
        f"{section.key}-{i}-{j}": specification(chart)
        for section in report.sections
        for i, figure in enumerate(section.figures)
        for j, chart in enumerate(figure.charts)
    }
    environment = Environment(
        loader=PackageLoader("connector.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        report=report, style=style, scripts=scripts, policy=policy(scripts, style), specifications=embedded(charts)
    )


def policy(scripts: list[str], style: str) -> str:
    """The Content-Security-Policy: nothing from outside, no form that leads anywhere, and of scripts and styles only these."""
    allowed = " ".join(_hash(script) for script in scripts)
    return f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"


def embedded(value: Any) -> str:
    """JSON that can stand inside a script element: no character that could end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _asset(path: str) -> str:
    return files("connector.report").joinpath(path).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
